"""How rare each color is, for measures in which every color counts the same."""

from __future__ import annotations

import cv2
import numpy as np

BIN = 10.0  # Lab units: side of an ab bin
REACH = 12  # bins on each side of gray; sRGB ends at 11
SMOOTHING = 5.0  # Lab units: sigma of the Gaussian that evens out the counts
RAREST = 1e-5  # the least share that a bin is given: what one photograph holds must not decide


class Rarity:
    """Weights of colors: the inverse of their ab bin's share among the pixels ``ab`` (n, 2), in Lab units.

    Bins are 10 units wide and centered on multiples of 10. The shares are smoothed over neighboring bins by a Gaussian
    of 5 units; a share below 1e-5 counts as 1e-5. This is the prior of Zhang, Isola and Efros, "Colorful Image
    Colorization", 2016, equation 4, with lambda = 0.
    """

    def __init__(self, ab: np.ndarray):
        across = 2 * REACH + 1
        counts = np.bincount(self._bins(ab), minlength=across * across).reshape(across, across)
        sigma = SMOOTHING / BIN
        shares = cv2.GaussianBlur(counts / max(counts.sum(), 1), (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        self._weights = (1 / np.maximum(shares, RAREST)).astype(np.float32).ravel()

    def weigh(self, ab: np.ndarray) -> np.ndarray:
        """The weight of each color of (..., 2): float32 (...), 1 or more."""
        return self._weights[self._bins(ab)]

    @staticmethod
    def _bins(ab: np.ndarray) -> np.ndarray:
        nodes = np.clip(np.rint(ab / BIN), -REACH, REACH).astype(np.int64) + REACH
        return nodes[..., 0] * (2 * REACH + 1) + nodes[..., 1]
