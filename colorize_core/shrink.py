"""A photo's lightness at a model's size."""

from __future__ import annotations

import cv2
import numpy as np

from colorize_core import kernels
from colorize_core.inputs import Input  # noqa: F401


def shrink(codes: np.ndarray, lut: np.ndarray, width: int, height: int) -> np.ndarray:
    """The lightness of codes (H, W) at a model's size: (height, width) float32 in 0..100."""
    small = average_lightness(codes, lut, min(width, codes.shape[1]), min(height, codes.shape[0]))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)  # where the photo is smaller than that


def average_lightness(codes: np.ndarray, lut: np.ndarray, width: int, height: int) -> np.ndarray:
    """Lightness of codes (H, W) shrunk to (height, width) by area averaging; between two codes it is interpolated."""
    small = area_average(codes[..., None], width, height)[..., 0]
    below = np.minimum(small.astype(np.int32), len(lut) - 2)
    return lut[below] + (lut[below + 1] - lut[below]) * (small - below.astype(np.float32))


def area_average(samples: np.ndarray, width: int, height: int) -> np.ndarray:
    """Codes (H, W, C) shrunk to (height, width, C) by area averaging: float32, not rounded."""
    out = np.empty((height, width, samples.shape[2]), np.float32)
    kernels.shrink_area(np.ascontiguousarray(samples), out)
    return out
