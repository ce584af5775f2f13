"""Make IIIF manifests of what was colorized: ``python -m jobs.iiif OUT --base URL --originals URL``.

OUT receives iiif/collection.json and a Presentation 3 manifest for each folder of scans, which viewers such as Mirador
open: each photo with a switch between the scan and its colors. Whoever serves OUT and the scans must allow other sites
to read them (Access-Control-Allow-Origin: *). Scans that no browser shows, and pages after the first, can be switched
to only if --image-service names an IIIF image server that has them; otherwise they can be downloaded.

Exit codes: 0 every photo that has a result is in a manifest, or said to be left out; 1 the job itself failed; 2 asked
for something impossible, said before any work; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from urllib.parse import urlsplit

from colorize_core import iiif
from colorize_core.iiif import Site
from colorize_core.storage import StorageError, Store
from jobs.interruption import stoppable
from jobs.progress import Progress

RIGHTS = ("http://creativecommons.org/", "http://rightsstatements.org/vocab/")


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    site = Site(args.base, args.originals, args.rights, args.image_service, args.color_image_service)
    try:
        store = Store(args.output)
        photos, without = iiif.colorized(store)
    except LookupError as e:
        print(f"iiif: {e.args[0]}; name the folder that was the job's second argument", file=sys.stderr)
        return 2
    except (StorageError, ValueError) as e:
        print(f"iiif: {e}", file=sys.stderr)
        return 2
    if not photos.num_rows:
        print(
            f"iiif: none of the {without:,} photos in {store.root} is colorized; nothing was written", file=sys.stderr
        )
        return 2
    try:
        with stoppable():
            folders, shown = [], 0
            progress = Progress(photos.num_rows, "photos")
            for folder, rows in iiif.by_folder(photos):
                if manifest := iiif.manifest(folder, rows, site):
                    iiif.write(store, iiif.manifest_key(folder), manifest)
                    folders.append(folder)
                    shown += len(manifest["items"])
                progress.add(len(rows))
            iiif.write(store, iiif.COLLECTION, iiif.collection(folders, site))
    except StorageError as e:
        print(f"iiif: {e}; the same command begins again", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the same command begins again", file=sys.stderr)
        return 130
    print(f"{site.base}/{iiif.COLLECTION}: {shown:,} photos in {len(folders):,} manifests")
    if without:
        print(f"left out: {without:,} photos that have no result")
    if hidden := photos.num_rows - shown:
        print(f"left out: {hidden:,} results in TIFF, which no browser shows; serve them with --color-image-service")
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.iiif", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("output", metavar="OUT", help="output folder of a colorize job: a path, s3://… or gs://…")
    add("--base", type=_address, required=True, metavar="URL", help="where OUT is on the web")
    add("--originals", type=_address, required=True, metavar="URL", help="where the scans are on the web")
    add("--image-service", type=_template, metavar="URL", help="an IIIF Image API 3 server that has the scans, such as "
        "https://iiif.example/image/3/{key}; {key} stands for the scan's key and {page}, if named, for its page "
        "from 1")  # fmt: skip
    add("--color-image-service", type=_template, metavar="URL", help="the same for the results; {key} stands for their "
        "path under OUT, photos/…")  # fmt: skip
    add("--rights", type=_rights, metavar="URI", help="license or rights statement of what the manifests show, such as "
        "http://rightsstatements.org/vocab/NoC-NC/1.0/ (default: none is stated)")  # fmt: skip
    return parser.parse_args(argv)


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as https://archive.example/color")
    return text.rstrip("/")


def _template(text: str) -> str:
    if "{key}" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} has no {{key}}, such as https://iiif.example/image/3/{{key}} has")
    return _address(text)


def _rights(text: str) -> str:
    if not text.startswith(RIGHTS):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no URI of a license or statement; those begin with {' or '.join(RIGHTS)}, with http"
        )
    return text


if __name__ == "__main__":
    sys.exit(main())
