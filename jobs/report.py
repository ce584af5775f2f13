"""Make a page with before/after sliders, figures and the list of photos worth a second look."""

from __future__ import annotations

import argparse
import sys

from colorize_core.report import write_report
from colorize_core.storage import StorageError, Store


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    try:
        report = write_report(Store(args.output), args.max_photos)
    except LookupError as e:
        print(f"report: {e.args[0]}; name the folder that was the colorize job's second argument", file=sys.stderr)
        return 2
    except (StorageError, ValueError) as e:
        print(f"report: {e}", file=sys.stderr)
        return 2
    print(
        f"{report.uri}: {report.photos:,} photos, {report.shown:,} shown before and after, "
        f"{report.listed:,} worth a second look"
    )
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobs.report", description=__doc__)
    parser.add_argument("output", metavar="OUT", help="output folder of a colorize job: a path, s3://… or gs://…")
    parser.add_argument(
        "--max-photos", type=_count, default=60, metavar="N", help="photos shown with a slider (default: 60)"
    )
    return parser.parse_args(argv)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of photos, 0 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
