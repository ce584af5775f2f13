"""A sheet of pictures: a model at its best, in the middle and at its worst."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from colorize_core import __version__
from colorize_core.provenance import Label, Metadata, derive

EACH = 6  # photographs that stand for the best, the median and the worst
CELL = 192  # pixels: side of a picture
GAP, CAPTION, HEAD = 6, 20, 62
QUALITY = 88
INK, FAINT, PAPER = (20, 20, 20), (90, 90, 90), (250, 250, 250)
COLUMNS = ("gray", "model", "truth")


@dataclass(frozen=True)
class Strip:
    """One photograph: three (side, side, 3) uint8 pictures of it and a caption."""

    gray: np.ndarray
    model: np.ndarray
    truth: np.ndarray
    caption: str


def pick(errors: Sequence[float]) -> dict[str, list[int]]:
    """Places of the photographs with the least, the middle and the largest errors, each from low to high.

    Six of each; where there are fewer than eighteen photographs, a third of them each, but at least one.
    """
    order = np.argsort(errors, kind="stable").tolist()
    count = max(1, min(EACH, len(order) // 3))
    middle = (len(order) - count) // 2
    return {"best": order[:count], "median": order[middle : middle + count], "worst": order[-count:]}


def make_sheet(title: str, groups: dict[str, list[Strip]], model: str, digest: str) -> bytes:
    """A JPEG with a block for each group, side by side; the mark of a machine-colored picture is in its XMP."""
    block = 3 * CELL + 2 * GAP
    rows = max(len(strips) for strips in groups.values())
    width = len(groups) * block + (len(groups) + 1) * 3 * GAP
    height = HEAD + rows * (CELL + CAPTION + GAP) + GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(18), ImageFont.load_default(13)
    draw.text((3 * GAP, 8), title, INK, large)
    for place, (name, strips) in enumerate(groups.items()):
        left = 3 * GAP + place * (block + 3 * GAP)
        for number, word in enumerate(COLUMNS):
            words = f"{name}: {word}" if number == 0 else word
            draw.text((left + number * (CELL + GAP), HEAD - 22), words, INK, small)
        for row, strip in enumerate(strips):
            top = HEAD + row * (CELL + CAPTION + GAP)
            for number, picture in enumerate((strip.gray, strip.model, strip.truth)):
                cell = Image.fromarray(picture).resize((CELL, CELL), Image.Resampling.LANCZOS)
                sheet.paste(cell, (left + number * (CELL + GAP), top))
            draw.text((left, top + CELL + 2), strip.caption, FAINT, small)
    label = Label(version=f"{__version__} {model} sha256:{digest}")
    out = io.BytesIO()
    xmp = derive(Metadata(), label, width, height).xmp
    sheet.save(out, "JPEG", quality=QUALITY, subsampling=0, optimize=True, progressive=True, xmp=xmp or b"")
    return out.getvalue()
