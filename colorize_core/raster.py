"""The raster: a picture's samples as its file stores them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

STRIP_PIXELS = 1 << 20


@dataclass
class Raster:
    """Decoded samples of one page, orientation not applied.

    samples: (H, W) for gray, (H, W, 3) for rgb and lab, (H, W, 4) for cmyk; uint8 or uint16, native byte order.
    model:   gray, rgb, cmyk or lab. Lab is L in 0..peak; a and b offset by 128 (8 bit) or 256 * 128 (16 bit).
    peak:    the code of full light (gray, rgb), full ink (cmyk) or L = 100 (lab); larger codes are clipped to it.
    inverted: gray, rgb: 0 is full light; cmyk: 0 is full ink.
    alpha:   (H, W) in 0..255 (uint8) or 0..65535 (uint16); None when there is none.
    """

    samples: np.ndarray
    model: str
    peak: int
    inverted: bool = False
    alpha: np.ndarray | None = None


def strip_rows(width: int) -> int:
    """Rows of a strip that stays in a core's cache while it is composed and encoded; a multiple of JPEG's 16."""
    return max(16, (1 << 18) // width // 16 * 16)


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Row slices of about a million pixels that cover an (H, W, ...) array from top to bottom."""
    rows = max(1, STRIP_PIXELS // max(1, shape[1]))
    for top in range(0, shape[0], rows):
        yield slice(top, min(top + rows, shape[0]))


def unmultiply(samples: np.ndarray, alpha: np.ndarray, peak: int) -> np.ndarray:
    """Undo associated alpha: colors divided by alpha (both in 0..peak); black where nothing is to be seen."""
    out = np.empty_like(samples)
    for rows in strips(samples.shape):
        color, cover = samples[rows].astype(np.float32), alpha[rows].astype(np.float32)
        cover = cover[..., None] if color.ndim == 3 else cover
        out[rows] = np.minimum(color * peak / np.maximum(cover, 1) + 0.5, peak)
    return out


def full_range(plane: np.ndarray, peak: int) -> np.ndarray:
    """A plane of codes 0..peak stretched to 0..255 (uint8) or, above 8 bits, 0..65535 (uint16)."""
    full = 255 if peak <= 255 else 65535
    if peak == full:
        return np.ascontiguousarray(plane)
    table = np.clip(np.arange(np.iinfo(plane.dtype).max + 1) * (full / peak) + 0.5, 0, full)
    return table.astype(np.uint8 if full == 255 else np.uint16)[plane]
