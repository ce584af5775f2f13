"""From a web site to colored scans in one go: ``python -m demo.train FOLDER``.

Crawls the gallery of ``demo.gallery``, sorts its photographs into a dataset, trains the shipped model on it for a few
steps, measures old and new weights, and colors four scans with the new ones. Every command is shown before it runs;
with other addresses in them they are those for an archive of any size. The gallery's photographs are parts of a few
pictures, so those tested resemble those learned from: the figures show that it works, not how well.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from colorize_core.weights import DEFAULT
from demo import archive, gallery

ROOT = Path(__file__).parent.parent  # scrapy finds its project here
SCANS = {
    "astronaut.jpg": archive.astronaut,
    "photographer.jpg": archive.photographer,
    "cat.tif": archive.cat,
    "motorcycle.jpg": archive.sideways,
}


def commands(folder: Path, host: str) -> list[list[str]]:
    """What is run, one after the other, once the gallery is at host:port and the scans lie in ``folder``/scans."""
    photographs, dataset, trained, colored = (
        str(folder / name) for name in ("photographs", "dataset", "trained", "color")
    )
    weights = f"{trained}/autochrome.safetensors"
    train = ["--recipe", "autochrome", "--steps", "60", "--batch", "16", "--validate", "15", "--workers", "1", "--init"]
    return [
        ["python", "-m", *gallery.crawl_command(host, photographs)],
        ["python", "-m", "jobs.cluster", photographs, dataset],
        ["python", "-m", "jobs.train", *train, DEFAULT, dataset, trained],
        ["python", "-m", "jobs.evaluate", DEFAULT, weights, dataset, "--out", str(folder / "evaluation")],
        ["python", "-m", "jobs.colorize", "--model", weights, str(folder / "scans"), colored],
        ["python", "-m", "jobs.report", colored],
    ]


def run(folder: Path) -> int:
    """Do it all; gives the exit code of the first command that failed, else 0. Raises OSError."""
    gallery.build(folder / "gallery")
    (folder / "scans").mkdir(exist_ok=True)
    for name, make in SCANS.items():
        (folder / "scans" / name).write_bytes(make())
    with gallery.serve(folder / "gallery") as host:
        for command in commands(folder, host):
            print(f"\n$ {shlex.join(command)}", flush=True)
            code = subprocess.run([sys.executable, *command[1:]], cwd=ROOT).returncode
            if code:
                print(f"that ended with exit code {code}", file=sys.stderr)
                return code
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="for everything that is made; made if missing")
    folder = parser.parse_args().folder.absolute()
    try:
        code = run(folder)
    except OSError as error:
        parser.error(f"cannot prepare the demo: {error}")
    if code == 0:
        print(f"\nhow color came in training: {folder}/trained/samples.jpg, the curves beside it in loss.png")
        print(f"old and new weights compared: {folder}/evaluation")
        print(f"before and after: file://{folder}/color/report/index.html")
    return code


if __name__ == "__main__":
    sys.exit(main())
