"""The model's input: a small lightness of a fixed area, in the photo's own shape."""

from __future__ import annotations

import math

import cv2
import numpy as np

from colorize_core import kernels

MULTIPLE = 32  # sides are multiples of this, which networks need and which lets photos of like shape share a batch
LONGEST = 4  # a side is at most this many times the nominal one


def input_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height of the model's input for a photo: about ``side`` squared pixels in the photo's own shape.

    Both are multiples of 32; a panorama's long side stops at four times ``side``.
    """
    shape = math.sqrt(width / height)
    width, height = (min(max(round(side * s / MULTIPLE), 1) * MULTIPLE, LONGEST * side) for s in (shape, 1 / shape))
    return width, height


def shrink(codes: np.ndarray, lut: np.ndarray, side: int) -> np.ndarray:
    """The model's input from a photo's lightness codes: (h, w) float32 in 0..100."""
    size = input_size(codes.shape[1], codes.shape[0], side)
    if size[0] > codes.shape[1] or size[1] > codes.shape[0]:
        return lut[cv2.resize(codes, size, interpolation=cv2.INTER_LINEAR)]
    return average_lightness(codes, lut, *size)


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
