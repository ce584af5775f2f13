"""How far a colorization is from the photograph, and how colorful it is."""

from __future__ import annotations

import numpy as np


def psnr(rgb: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 arrays of one shape, over all channels."""
    error = np.mean((rgb.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def colorfulness(rgb: np.ndarray) -> float:
    """Colorfulness of a (..., 3) array on the 0..255 scale, gray being 0.

    Hasler and Suesstrunk, "Measuring colourfulness in natural images", 2003, with absolute opponent channels, as
    published colorization results use it.
    """
    r, g, b = np.moveaxis(rgb.astype(np.float32), -1, 0)
    rg, yb = np.abs(r - g), np.abs(0.5 * (r + g) - b)
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
