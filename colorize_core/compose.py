"""Small ab and full-size lightness become full-size color, a strip of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np

from colorize_core import color, kernels
from colorize_core.hints import Hints
from colorize_core.photo import Photo
from colorize_core.raster import strip_rows

LARGEST = 1000.0  # of a and b; CIELAB ends far below
CURVE_STEPS = 1 << 14  # of linear light to 8 bits; the coarsest, at black, is a fifth of a code


def cubic_taps(size: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """How the rows of a ``target``-row image come from ``size`` rows by bicubic convolution.

    Gives the four source rows of each, int32 (target, 4), and their weights, float32 (target, 4); pixel centers are
    aligned and the edge rows repeat. The kernel is Keys' (1981) with a = -0.75, that of OpenCV's cubic resize.
    """
    at = (np.arange(target) + 0.5) * size / target - 0.5
    base = np.floor(at).astype(np.int32)
    near, a = np.abs((at - base)[:, None] - np.arange(-1, 3)), -0.75
    weights = np.where(
        near <= 1,
        (a + 2) * near**3 - (a + 3) * near**2 + 1,
        a * near**3 - 5 * a * near**2 + 8 * a * near - 4 * a,
    )
    index = np.clip(base[:, None] + np.arange(-1, 3, dtype=np.int32), 0, size - 1)
    return index, weights.astype(np.float32)


@cache
def srgb_curve(depth: int) -> np.ndarray:
    """The sRGB code of linear light 0..1 in even steps: uint8, or float32 in 0..65535 with its last step twice."""
    if depth == 8:
        return np.rint(color.linear_to_srgb(np.linspace(0, 1, CURVE_STEPS)) * 255).astype(np.uint8)
    codes = color.linear_to_srgb(np.linspace(0, 1, 1 << 16)) * 65535
    return np.append(codes, codes[-1]).astype(np.float32)


class Composition:
    """The color picture of a photo, made strip by strip; knows, once made, how colorful it is.

    ``ab`` is (h, w, 2) float32 in Lab units, covering the whole photo. ``depth`` is 8 or 16 bits per channel. Where a
    color leaves sRGB, its chroma is reduced at constant lightness and hue. ValueError for an ab beyond any color.

    Pixels with a hint, of ``hints`` for this page, have the hint's a and b instead, to what ``depth`` can tell.
    """

    def __init__(self, photo: Photo, ab: np.ndarray, depth: int, hints: Hints | None = None):
        if not np.abs(ab).max(initial=0) < LARGEST:  # nor for what is not a number
            raise ValueError("the model's colors are not colors: its weights or its input are broken")
        self.photo, self.depth = photo, depth
        self.mapped = 0
        self._ab = ab
        self._sums = np.zeros(5)
        self._squares = [] if hints is None else hints.squares(photo.width, photo.height)

    def __iter__(self) -> Iterator[np.ndarray]:
        """(rows, W, 3) uint8 or uint16 strips, top to bottom."""
        codes = self.photo.codes
        height, width = codes.shape
        interpolation = cv2.INTER_AREA if width < self._ab.shape[1] else cv2.INTER_CUBIC
        a, b = (
            cv2.resize(np.ascontiguousarray(plane, np.float32), (width, len(plane)), interpolation=interpolation)
            for plane in np.moveaxis(self._ab, -1, 0)
        )
        index, weights = cubic_taps(len(self._ab), height)
        f, y = color.lightness_to_luminance(self.photo.lut)
        matrix = (np.array(color.RGB_FROM_XYZ) * color.WHITE_D65).astype(np.float32)
        compose = kernels.lab_to_8_bits if self.depth == 8 else kernels.lab_to_16_bits
        rows = strip_rows(width)
        for top in range(0, height, rows):
            part = slice(top, min(top + rows, height))
            out = np.empty((part.stop - top, width * 3), np.uint8 if self.depth == 8 else np.uint16)
            self.mapped += compose(
                codes[part], f, y, *self._painted(part, a, b, index[part], weights[part]), matrix,
                color.gamut_chroma(), srgb_curve(self.depth), out,
            )  # fmt: skip
            kernels.add_opponents(out, self._sums)
            yield out.reshape(len(out), width, 3)

    def _painted(self, part: slice, a: np.ndarray, b: np.ndarray, index: np.ndarray, weights: np.ndarray) -> tuple:
        """What ``kernels`` take for a strip: a and b, (h, W), and of which of their rows each of its own is made.

        Where hints are in the strip, its rows are made here, the squares of the hints are laid over them, and each
        then comes from itself.
        """
        squares = [square for square in self._squares if square.top < part.stop and square.bottom > part.start]
        if not squares:
            return a, b, index, weights
        a, b = (sum(weights[:, tap, None] * plane[index[:, tap]] for tap in range(4)) for plane in (a, b))
        for square in squares:
            rows = slice(max(square.top - part.start, 0), square.bottom - part.start)
            a[rows, square.left : square.right], b[rows, square.left : square.right] = square.a, square.b
        own = np.repeat(np.arange(len(index), dtype=np.int32)[:, None], 4, 1)
        return a, b, own, np.tile(np.array([1, 0, 0, 0], np.float32), (len(index), 1))

    @property
    def gamut_mapped(self) -> float:
        """Share of the pixels whose chroma was reduced, 0 to 1."""
        return self.mapped / self.photo.codes.size

    @property
    def colorfulness(self) -> float:
        """Colorfulness (see ``training.metrics``) of every fourth pixel of every fourth row, on the 0..255 scale."""
        unit = 255 / (2**self.depth - 1)
        mean_rg, mean_yb, square_rg, square_yb = self._sums[:4] / max(1, self._sums[4]) * [unit, unit, unit**2, unit**2]
        variance = max(0.0, square_rg - mean_rg**2) + max(0.0, square_yb - mean_yb**2)
        return float(np.sqrt(variance) + 0.3 * np.hypot(mean_rg, mean_yb))
