"""A few photographs colored again and again while a network trains, on one contact sheet: color is seen coming."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection

import numpy as np
import simplejpeg
import torch
from PIL import Image, ImageDraw, ImageFont

from colorize_core import color
from colorize_core.storage import NotFound, Store

Predict = Callable[[torch.Tensor], torch.Tensor]

SHEET = "samples.jpg"
ROWS = 8  # of colorings on the sheet; all are kept in the store
QUALITY = 90  # of the JPEGs
LABELS, GAP = 120, 4  # pixels: the column of labels, and between pictures
INK, PAPER = (60, 60, 60), (255, 255, 255)


def row_key(step: int) -> str:
    return f"samples/{step:06d}.jpg"


class Samples:
    """The sheet's photographs (N, S, S, 3) uint8 sRGB, and how they looked at earlier steps.

    A row is the N pictures side by side, (S, N * S, 3) uint8. Rows lie in the store as JPEGs, so that a training that
    was interrupted finds them again.
    """

    def __init__(self, store: Store, photographs: np.ndarray):
        self.store, self.photographs = store, photographs
        self.lab = color.srgb_to_lab(photographs.astype(np.float32) / 255)
        self._rows: dict[int, bytes | None] = {}  # None: the store has none, or one of other photographs
        self._unsaved: set[int] = set()

    def add(self, step: int, predict: Predict) -> np.ndarray:
        """Color the photographs as ``predict`` does now; gives the row. ``predict`` takes L (N, 1, S, S) float32 in
        0..100 and gives ab (N, 2, S, S) in Lab units, on any device.
        """
        lightness = torch.from_numpy(np.ascontiguousarray(self.lab[..., 0])).float()[:, None]
        with torch.inference_mode():
            ab = predict(lightness).float().cpu().numpy()
        row = _side_by_side(self._colored(np.moveaxis(ab, 1, -1)))
        self._rows[step] = simplejpeg.encode_jpeg(row, QUALITY, "RGB", "444")
        self._unsaved.add(step)
        return row

    @property
    def gray(self) -> np.ndarray:
        """The row of what the network sees."""
        return _side_by_side(self._colored(np.zeros_like(self.lab[..., 1:])))

    @property
    def original(self) -> np.ndarray:
        """The row of the photographs themselves."""
        return _side_by_side(self.photographs)

    def save(self, steps: Collection[int]) -> None:
        """Store what is new, and the sheet with a choice of the rows of these ``steps``. Raises StorageError."""
        for step in sorted(self._unsaved):
            body = self._rows[step]
            assert body is not None
            self.store.put(row_key(step), body, "image/jpeg")
            self._unsaved.discard(step)
        sink = io.BytesIO()
        self.sheet(steps).save(sink, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
        self.store.put(SHEET, sink.getvalue(), "image/jpeg")

    def sheet(self, steps: Collection[int]) -> Image.Image:
        """Gray, at most ``ROWS`` colorings in the order of their steps, then the originals, each row with its label."""
        colorings = {step: row for step in choose(steps) if (row := self._row(step)) is not None}
        rows = [("gray", self.gray), *((f"step {step:,}", row) for step, row in colorings.items())]
        rows.append(("original", self.original))
        count, side = self.photographs.shape[:2]
        sheet = Image.new("RGB", (LABELS + count * (side + GAP), GAP + len(rows) * (side + GAP)), PAPER)
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
        for i, (label, row) in enumerate(rows):
            top = GAP + i * (side + GAP)
            draw.text((LABELS - 12, top + side // 2), label, INK, font, anchor="rm")
            for j in range(count):
                sheet.paste(Image.fromarray(row[:, j * side : (j + 1) * side]), (LABELS + j * (side + GAP), top))
        return sheet

    def _row(self, step: int) -> np.ndarray | None:
        if step not in self._rows:
            try:
                self._rows[step] = self.store.read(row_key(step))
            except NotFound:
                self._rows[step] = None
        body = self._rows[step]
        if body is None:
            return None
        row = simplejpeg.decode_jpeg(body, "RGB")
        return row if row.shape == self.original.shape else None

    def _colored(self, ab: np.ndarray) -> np.ndarray:
        """ab (N, S, S, 2) on the photographs' own lightness: uint8 (N, S, S, 3), chroma reduced to what sRGB shows."""
        lab = np.concatenate([self.lab[..., :1], ab], -1)
        scale = color.chroma_scale(*lab.reshape(-1, 3).T).reshape(lab.shape[:-1])
        lab[..., 1:] *= scale[..., None]
        return np.rint(color.lab_to_srgb(lab) * 255).astype(np.uint8)


def choose(steps: Collection[int], count: int = ROWS) -> list[int]:
    """At most ``count`` of the steps, in order: the first, the last, and between them ever further apart, since most
    changes early.
    """
    left = sorted(set(steps))
    if len(left) <= count:
        return left
    chosen = []
    for wanted in np.geomspace(max(left[0], 1), left[-1], count):
        nearest = min(left, key=lambda step: abs(step - wanted))
        left.remove(nearest)
        chosen.append(nearest)
    return sorted(chosen)


def _side_by_side(pictures: np.ndarray) -> np.ndarray:
    return np.concatenate(list(pictures), axis=1)
