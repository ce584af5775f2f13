"""Measure the colorize job: ``python -m jobs.benchmark [OUT]``.

On a set of photographs made for it, or a folder of yours: what each stage costs alone on one core, how far the whole
job is from that floor, and how it compares with what people would write instead, with the same model on the same
photographs and cores. OUT receives benchmark.json, benchmark.png and the photographs. Nothing else should run
meanwhile; at the default settings it takes about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmark import chart, photos, table
from benchmark.contender import ALTERNATIVES, command
from benchmark.contest import Contest
from benchmark.figures import figures
from benchmark.machine import cores, describe

NEEDED = ("matplotlib", "psutil", "skimage")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("output", metavar="OUT", nargs="?", type=Path, default=Path("build/benchmark"), help="folder for everything "
        "(default %(default)s)")  # fmt: skip
    add("--photos", metavar="FOLDER", type=Path, help="measure on these scans instead of on photographs made here")
    add("--count", metavar="N", type=int, default=300, help="photographs to make (default %(default)s)")
    add("--scale", metavar="X", type=float, default=1.0, help="of their sides (default 1: 2, 8, 24 and 100 megapixels)")
    add("--sample", metavar="N", type=int, default=60, help="photographs that the alternatives work on, the same mix "
        "(default %(default)s)")  # fmt: skip
    add("--repeats", metavar="N", type=int, default=3, help="rounds; figures are medians (default %(default)s)")
    add("--growth", metavar="N,N", default=[], type=lambda text: [int(n) for n in text.split(",")],
        help="also run the job over archives of so many small photographs, such as 500,5000,20000")  # fmt: skip
    add("--without", action="append", default=[], choices=sorted(ALTERNATIVES.values()),
        help="leave out an alternative; may be repeated")  # fmt: skip
    args = parser.parse_args(arguments)
    if min(args.count, args.sample, args.repeats, *args.growth) < 1:
        parser.error("--count, --sample, --repeats and --growth start at 1")
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        print(
            f"cannot start: not installed: {', '.join(missing)}; pip install 'autochrome-archive[benchmark]'",
            file=sys.stderr,
        )
        return 2
    from benchmark.growth import measure  # and psutil

    out = args.output.absolute()
    source = args.photos.absolute() if args.photos else out / f"photos-{args.count}-x{args.scale:g}"
    try:
        print("the photographs", flush=True)
        made = [] if args.photos else photos.make(source, args.count, args.scale)
        paths = made or sorted(path for path in source.rglob("*") if path.is_file())
        if not paths:
            raise OSError(f"no photographs in {source}")
        portrait = out / f"{24 * args.scale**2:g}mp.jpg"
        photos.write(portrait, 24 * args.scale**2, "gray-jpeg", 0)
        names = [name for name, module in ALTERNATIVES.items() if module not in args.without]
        contest = Contest(source, photos.sample(paths, args.sample), names, out / "work")
        rounds = []
        for number in range(args.repeats):
            print(f"round {number + 1} of {args.repeats}", flush=True)
            rounds.append(contest.round(number))
        shutil.rmtree(out / "work", ignore_errors=True)
        result = {
            "machine": describe(),
            "settings": {"photos": str(args.photos or "made"), "count": len(paths), "scale": args.scale,
                         "sample": args.sample, "repeats": args.repeats},
            **figures(rounds, contest.likeness, cores()),
            "finish": json.loads(command("benchmark.finish", portrait, OMP_NUM_THREADS="1")),
            "growth": measure(args.growth, out / "growth"),
        }  # fmt: skip
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"benchmark: {error}\n{getattr(error, 'stderr', None) or ''}".rstrip(), file=sys.stderr)
        return 1
    (out / "benchmark.json").write_text(json.dumps(result, indent=1))
    (out / "benchmark.png").write_bytes(chart.draw(result))
    print("", *table.lines(result), "", out / "benchmark.json", out / "benchmark.png", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
