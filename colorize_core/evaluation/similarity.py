"""Structural similarity of two pictures."""

from __future__ import annotations

import cv2
import numpy as np

WINDOW = 11  # pixels across the Gaussian window
SIGMA = 1.5


def ssim(rgb: np.ndarray, truth: np.ndarray) -> float:
    """SSIM of two (h, w, 3) uint8 pictures, at most 1: the mean over all channels and all places of the whole window.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    2004: Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03. Raises ValueError below 11 x 11 pixels.
    """
    if min(rgb.shape[:2]) < WINDOW:
        raise ValueError(f"SSIM needs at least {WINDOW} x {WINDOW} pixels, got {rgb.shape[1]} x {rgb.shape[0]}")
    kernel = cv2.getGaussianKernel(WINDOW, SIGMA, cv2.CV_32F)
    inside = slice(WINDOW // 2, -(WINDOW // 2))

    def smooth(x: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(x, -1, kernel, kernel)[inside, inside]

    x, y = rgb.astype(np.float32), truth.astype(np.float32)
    mean_x, mean_y = smooth(x), smooth(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = smooth(x * y) - product, smooth(x * x + y * y) - squares
    steady, steady_spread = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * product + steady) * (2 * covariance + steady_spread)
    return float((similarity / ((squares + steady) * (variances + steady_spread))).mean())
