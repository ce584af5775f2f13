"""A small gallery of color photographs on this machine: ``python -m demo.gallery FOLDER``.

The photographs are pieces, some of them mirrored, of the color pictures inside the scikit-image package, all free to
use, on pages of HTML as web sites have them. The same bytes come out every time. Pieces of one picture resemble each
other, and a network trained on some of them has an easy time with the others: this is a gallery to see the jobs at work
with, not to learn much from. Of the 178 pieces ``jobs.cluster`` keeps 161; the others are stars and dusk of one hue.
"""

from __future__ import annotations

import argparse
import io
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

PER_PAGE = 24
SIDES = 128, 224  # pixels of a piece's shorter side, from and to
SHAPES = 1.0, 4 / 3, 3 / 2, 3 / 4  # width over height
OVERLAP = 0.45  # of two pieces' common area in all that they cover, at most
QUALITY = 92
PUBLIC_DOMAIN = "https://creativecommons.org/publicdomain/mark/1.0/"
ZERO = "https://creativecommons.org/publicdomain/zero/1.0/"
NO_KNOWN_COPYRIGHT = "http://rightsstatements.org/vocab/NKC/1.0/"


@dataclass(frozen=True)
class Source:
    """A picture of the scikit-image package by its function, what is known of it, and how many pieces are taken."""

    picture: str
    title: str
    creator: str
    license: str
    pieces: int


SOURCES = (
    Source("astronaut", "Eileen Collins in her flight suit", "NASA", PUBLIC_DOMAIN, 44),
    Source("coffee", "A cup of coffee", "Rachel Michetti", ZERO, 42),
    Source("chelsea", "Chelsea the cat", "Stéfan van der Walt", ZERO, 28),
    Source("rocket", "Falcon 9 lifts off with DSCOVR", "SpaceX", PUBLIC_DOMAIN, 26),
    Source("hubble_deep_field", "Hubble eXtreme Deep Field", "NASA", PUBLIC_DOMAIN, 10),
    Source("immunohistochemistry", "Colonic glands, stained", "CMMI", NO_KNOWN_COPYRIGHT, 28),
)
SELECTORS = {  # of the gallery spider
    "photo": "figure img::attr(src)",
    "next": "a[rel=next]::attr(href)",
    "title": "figcaption b::text",
    "creator": "figcaption i::text",
    "license": "a[rel=license]::attr(href)",
}


@dataclass(frozen=True)
class Box:
    left: int
    top: int
    width: int
    height: int

    def overlap(self, other: Box) -> float:
        """The area common to both, of the area that both cover together: 0 to 1."""
        width = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        height = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        common = max(width, 0) * max(height, 0)
        return common / (self.width * self.height + other.width * other.height - common)


def pieces(width: int, height: int, count: int, random: np.random.Generator) -> list[tuple[Box, bool]]:
    """Different places in a picture, and whether the piece is mirrored; those mirrored alike overlap by little."""
    found: list[tuple[Box, bool]] = []
    for _ in range(200 * count):
        side, shape = int(random.integers(*SIDES, endpoint=True)), float(random.choice(SHAPES))
        w, h = (round(side * shape), side) if shape >= 1 else (side, round(side / shape))
        if w > width or h > height:
            continue
        box = Box(int(random.integers(width - w, endpoint=True)), int(random.integers(height - h, endpoint=True)), w, h)
        mirrored = bool(random.integers(2))
        if all(box.overlap(other) <= OVERLAP for other, alike in found if alike == mirrored):
            found.append((box, mirrored))
        if len(found) == count:
            break
    return found


def photographs() -> Iterator[tuple[str, Source, bytes]]:
    """Name, source and JPEG of every photograph."""
    for source in SOURCES:
        picture = Image.fromarray(getattr(data, source.picture)())
        random = np.random.default_rng(len(source.picture))
        for i, (box, mirrored) in enumerate(pieces(*picture.size, source.pieces, random)):
            piece = picture.crop((box.left, box.top, box.left + box.width, box.top + box.height))
            if mirrored:
                piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            sink = io.BytesIO()
            piece.save(sink, "JPEG", quality=QUALITY)
            yield f"{source.picture}-{i:02d}.jpg", source, sink.getvalue()


def page_name(number: int) -> str:
    return "index.html" if number == 0 else f"page-{number + 1}.html"


def page(shown: list[tuple[str, Source]], following: str | None) -> str:
    figures = [
        f'<figure><img src="photos/{name}" alt=""><figcaption><b>{escape(source.title)}</b> '
        f'<i>{escape(source.creator)}</i> <a rel="license" href="{source.license}">rights</a></figcaption></figure>'
        for name, source in shown
    ]
    onward = f'<a rel="next" href="{following}">next</a>' if following else ""
    style = "body{display:flex;flex-wrap:wrap;font:13px sans-serif}figure{width:240px;margin:8px}"
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>A gallery</title><style>{style}</style>',
            *figures,
            onward,
        ]
    )


def build(folder: Path) -> int:
    """Write pages and photographs under ``folder`` and give the number of photographs."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    shown = []
    for name, source, jpeg in photographs():
        (folder / "photos" / name).write_bytes(jpeg)
        shown.append((name, source))
    order = np.random.default_rng(0).permutation(len(shown))
    shown = [shown[i] for i in order]
    for number, start in enumerate(range(0, len(shown), PER_PAGE)):
        following = page_name(number + 1) if start + PER_PAGE < len(shown) else None
        (folder / page_name(number)).write_text(page(shown[start : start + PER_PAGE], following), encoding="utf-8")
    return len(shown)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serve(folder: Path, port: int = 0) -> Iterator[str]:
    """Serve a folder on loopback, at any free port unless one is given; gives host:port. Raises OSError."""
    with ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def crawl_command(host: str, out: Path | str) -> list[str]:
    """The words of the crawl that collects the gallery at host:port; it hurries, as only this machine is visited."""
    arguments = {"start": f"http://{host}/", **SELECTORS, "category": "demo"}
    settings = {
        "OUT": out, "CONTACT": "demo@example.org", "PRIVATE_HOSTS": host, "AUTOTHROTTLE_START_DELAY": 0.01,
        "AUTOTHROTTLE_MAX_DELAY": 0.02,
    }  # fmt: skip
    options = [word for name, value in arguments.items() for word in ("-a", f"{name}={value}")]
    return ["scrapy", "crawl", "gallery", *options, *(w for n, v in settings.items() for w in ("-s", f"{n}={v}"))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.gallery", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to put the gallery; made if missing")
    parser.add_argument("--port", type=int, default=0, help="to serve at (default: any free one)")
    args = parser.parse_args()
    try:
        count = build(args.folder)
        with serve(args.folder, args.port) as host:
            print(f"{count} photographs at http://{host}/ until Ctrl-C; collect them with\n")
            print(shlex.join(crawl_command(host, "build/photographs")), flush=True)
            threading.Event().wait()
    except OSError as error:
        parser.error(f"cannot serve the gallery: {error}")
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
