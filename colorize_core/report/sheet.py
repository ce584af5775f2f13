"""A contact sheet: many small pictures in one JPEG, shown one by one by the page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageOps

HEIGHT = 128
WIDTH = 2048
QUALITY = 82
BLOCK = 16  # a JPEG's block with its colors at half size: pictures that share none do not bleed into each other
TALLEST, WIDEST = 0.5, 2.5  # width over height; what is beyond is cut at both ends
EDGE = 1  # pixels at the rim of a picture that stay hidden: scaling mixes them with the neighbor's
LARGEST = 1024  # px; a thumbnail is smaller


@dataclass(frozen=True)
class Cell:
    """Where a picture is in its sheet: its shape, and the sheet's width and place in percent of the picture's."""

    ratio: float
    width: float
    left: float
    top: float


@dataclass(frozen=True)
class Sheet:
    """JPEG bytes, their size in pixels, and a cell for each picture in the order given."""

    jpeg: bytes
    width: int
    height: int
    cells: list[Cell]


def open_thumbnail(jpeg: bytes | None) -> Image.Image | None:
    """A stored thumbnail in RGB; None where there is none or it cannot be read."""
    if not jpeg:
        return None
    try:
        image = Image.open(io.BytesIO(jpeg), formats=["JPEG"])
        return image.convert("RGB") if max(image.size) <= LARGEST else None
    except (OSError, ValueError, SyntaxError):
        return None


def make_sheet(pictures: Sequence[Image.Image], height: int = HEIGHT) -> Sheet:
    """The pictures (at least one) in rows of ``height`` pixels, a multiple of 16."""
    boxes, x, y, widest = [], 0, 0, 0
    for picture in pictures:
        ratio = min(max(picture.width / picture.height, TALLEST), WIDEST)
        width = max(round(ratio * height / BLOCK), 1) * BLOCK
        if x and x + width > WIDTH:
            x, y = 0, y + height
        boxes.append((x, y, width))
        x += width
        widest = max(widest, x)
    sheet = Image.new("RGB", (widest, y + height))
    for picture, (x, y, width) in zip(pictures, boxes, strict=True):
        sheet.paste(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS), (x, y))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    cells = [_cell(x, y, width, height, widest) for x, y, width in boxes]
    return Sheet(out.getvalue(), sheet.width, sheet.height, cells)


def _cell(x: int, y: int, width: int, height: int, sheet: int) -> Cell:
    across, down = width - 2 * EDGE, height - 2 * EDGE
    left, top = -100 * (x + EDGE) / across, -100 * (y + EDGE) / down
    return Cell(round(across / down, 4), round(100 * sheet / across, 3), round(left, 3), round(top, 3))
