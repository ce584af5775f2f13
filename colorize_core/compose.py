"""Small ab and full-size lightness become full-size color, a strip of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from colorize_core import color
from colorize_core.photo import Photo

STRIP_PIXELS = 1 << 19  # small enough to stay in a core's cache, large enough to keep Python out of the way


def cubic_taps(size: int, target: int, rows: slice) -> tuple[int, np.ndarray]:
    """Weights that interpolate rows of a ``target``-row image from ``size`` rows by bicubic convolution.

    Gives the first source row needed and a (len(rows), source rows) float32 matrix; pixel centers are aligned and the
    edge rows repeat. The kernel is Keys' (1981) with a = -0.75, the one that OpenCV's cubic resize uses.
    """
    at = (np.arange(rows.start, rows.stop) + 0.5) * size / target - 0.5
    base = np.floor(at).astype(np.int64)
    t = (at - base)[:, None] - np.arange(-1, 3)
    near, a = np.abs(t), -0.75
    weight = np.where(
        near <= 1,
        (a + 2) * near**3 - (a + 3) * near**2 + 1,
        a * near**3 - 5 * a * near**2 + 8 * a * near - 4 * a,
    )
    index = np.clip(base[:, None] + np.arange(-1, 3), 0, size - 1)
    first = int(index.min())
    matrix = np.zeros((len(at), int(index.max()) - first + 1), np.float32)
    np.add.at(matrix, (np.arange(len(at))[:, None], index - first), weight)
    return first, matrix


class Composition:
    """The color picture of a photo, made strip by strip; knows, once made, how colorful it is.

    ``ab`` is (h, w, 2) float32 in Lab units, covering the whole photo. ``depth`` is 8 or 16 bits per channel.
    """

    def __init__(self, photo: Photo, ab: np.ndarray, depth: int):
        self.photo, self.depth = photo, depth
        height, width = photo.codes.shape
        shrinking = width < ab.shape[1]
        self.wide = cv2.resize(
            np.ascontiguousarray(ab, np.float32),
            (width, ab.shape[0]),
            interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC,
        ).reshape(ab.shape[0], width * 2)
        self.mapped = 0
        self._count = 0
        self._sums = np.zeros(4)  # of |R-G|, |(R+G)/2-B| and their squares

    def __iter__(self) -> Iterator[np.ndarray]:
        """(rows, W, 3) uint8 or uint16 strips, top to bottom."""
        height, width = self.photo.codes.shape
        rows = max(1, STRIP_PIXELS // width)
        safe = color.safe_chroma()[color.gamut_row(self.photo.lut)] ** 2
        for top in range(0, height, rows):
            yield self._strip(slice(top, min(top + rows, height)), safe)

    def _strip(self, rows: slice, safe: np.ndarray) -> np.ndarray:
        height, width = self.photo.codes.shape
        first, weights = cubic_taps(self.wide.shape[0], height, rows)
        ab = (weights @ self.wide[first : first + weights.shape[1]]).reshape(-1, width, 2)
        codes = self.photo.codes[rows]
        lab = np.empty((*codes.shape, 3), np.float32)
        lab[..., 0] = cv2.LUT(codes, self.photo.lut) if codes.dtype == np.uint8 else self.photo.lut[codes]
        lab[..., 1:] = ab
        chroma = ab[..., 0] ** 2 + ab[..., 1] ** 2
        risky = np.nonzero(chroma > safe[codes])
        if len(risky[0]):
            colors = lab[risky]
            scale = color.chroma_scale(*colors.T)
            self.mapped += int(np.count_nonzero(scale < 1))
            colors[:, 1:] *= scale[:, None]
            lab[risky] = colors
        rgb = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
        self._measure(rgb)
        if self.depth == 8:
            return cv2.convertScaleAbs(rgb, alpha=255)
        return np.rint(rgb * 65535).astype(np.uint16)

    def _measure(self, rgb: np.ndarray) -> None:
        r, g, b = np.moveaxis(rgb[::4, ::4] * 255, -1, 0)
        rg, yb = np.abs(r - g), np.abs(0.5 * (r + g) - b)
        self._sums += [rg.sum(), yb.sum(), (rg**2).sum(), (yb**2).sum()]
        self._count += rg.size

    @property
    def gamut_mapped(self) -> float:
        """Share of the pixels whose chroma was reduced, 0 to 1."""
        return self.mapped / self.photo.codes.size

    @property
    def colorfulness(self) -> float:
        """Colorfulness (see ``training.metrics``) of every fourth pixel of every fourth row, on the 0..255 scale."""
        mean_rg, mean_yb, square_rg, square_yb = self._sums / max(1, self._count)
        variance = max(0.0, square_rg - mean_rg**2) + max(0.0, square_yb - mean_yb**2)
        return float(np.sqrt(variance) + 0.3 * np.hypot(mean_rg, mean_yb))
