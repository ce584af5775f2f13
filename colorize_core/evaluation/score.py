"""The figures of one colorized photograph against the truth.

=================  ==================================================================================================
psnr               dB, of 8-bit sRGB over all channels
psnr_ab            dB, of Lab a and b as measured from 8-bit sRGB; the peak is 255, the span of 8-bit a and b
ssim               structural similarity of sRGB, up to 1
delta_e2000        mean CIEDE2000 color difference
edge_delta_e2000   the same in the edge band: the 5 % of pixels with the strongest gradient (Sobel) of the truth's
                   lightness, and their eight neighbors; of the whole picture where it has no edges
colorfulness       see ``training.metrics``; of the colorized picture
auc                0..1, the area under the share of pixels whose ab error (Euclidean, Lab units) is within a threshold
                   that goes from 0 to 150, over 150: exactly 1 - mean(min(error, 150)) / 150
auc_rebalanced     the same where a pixel counts by the rarity of its true color (see ``Rarity``)
rarity             mean weight of the pixels in ``auc_rebalanced``: over several photographs this measure is the mean
                   of theirs weighted by it, so that it is that of all their pixels together
accuracy           1 - MSE / 7500 over L, a and b, each in 8 bits as L * 255 / 100, a + 128 and b + 128; a gray
                   picture with the right lightness has a high one
=================  ==================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from colorize_core import color
from colorize_core.evaluation.protocol import to_lab
from colorize_core.evaluation.rarity import Rarity
from colorize_core.evaluation.similarity import ssim
from colorize_core.training import metrics

FIGURES = ("psnr", "psnr_ab", "ssim", "delta_e2000", "edge_delta_e2000", "colorfulness", "auc", "auc_rebalanced",
           "rarity", "accuracy")  # fmt: skip
EDGES = 0.05  # share of the pixels that are edges
FARTHEST = 150.0  # Lab units: where the thresholds of the area under the curve end
LAB_CODES = np.array([2.55, 1, 1], np.float32)  # 8-bit steps of one unit of L, a and b


@dataclass(frozen=True)
class Truth:
    """A photograph as it is: ``rgb`` (h, w, 3) uint8, its Lab in float32, its edge band (h, w) bool, and the weight
    of each of its colors (h, w).
    """

    rgb: np.ndarray
    lab: np.ndarray
    edges: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, rgb: np.ndarray, rarity: Rarity) -> Truth:
        lab = to_lab(rgb)
        return cls(rgb, lab, edge_band(lab[..., 0]), rarity.weigh(lab[..., 1:]))

    @property
    def lightness(self) -> np.ndarray:
        return self.lab[..., 0]


def edge_band(lightness: np.ndarray) -> np.ndarray:
    """The strongest 5 % of the gradients of lightness (h, w), dilated by a pixel: bool (h, w)."""
    plane = np.ascontiguousarray(lightness)
    gradient = np.hypot(cv2.Sobel(plane, cv2.CV_32F, 1, 0), cv2.Sobel(plane, cv2.CV_32F, 0, 1))
    edges = (gradient >= np.quantile(gradient, 1 - EDGES)) & (gradient > 0)
    if not edges.any():
        return np.ones_like(edges)
    return cv2.dilate(edges.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def score(rgb: np.ndarray, truth: Truth) -> dict[str, float]:
    """Every one of FIGURES for a picture of the truth's shape, uint8 sRGB."""
    lab = to_lab(rgb)
    off = lab[..., 1:] - truth.lab[..., 1:]
    squared = float(np.mean(off**2))
    difference = color.delta_e2000(truth.lab, lab)
    missed = np.minimum(np.hypot(off[..., 0], off[..., 1]), FARTHEST) / FARTHEST
    codes = np.rint(lab * LAB_CODES) - np.rint(truth.lab * LAB_CODES)
    return {
        "psnr": metrics.psnr(rgb, truth.rgb),
        "psnr_ab": float("inf") if squared == 0 else float(10 * np.log10(255**2 / squared)),
        "ssim": ssim(rgb, truth.rgb),
        "delta_e2000": float(difference.mean()),
        "edge_delta_e2000": float(difference[truth.edges].mean()),
        "colorfulness": metrics.colorfulness(rgb),
        "auc": 1 - float(missed.mean()),
        "auc_rebalanced": 1 - float(np.average(missed, weights=truth.weights)),
        "rarity": float(truth.weights.mean()),
        "accuracy": 1 - float(np.mean(codes**2)) / 7500,
    }
