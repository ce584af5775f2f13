"""Colorizers that have learned next to nothing, which any model has to beat."""

from __future__ import annotations

import cv2
import numpy as np

from colorize_core.curation.dataset import lot
from colorize_core.evaluation.protocol import Protocol, to_lab
from colorize_core.evaluation.row import Row
from colorize_core.training.data import Photographs

SAMPLE = 2000  # training photographs that the mean color and the rarity of colors are taken from
EVERY = 4  # pixels: of each of them, those on a grid this wide
PUBLISHED = (1.5, 8.0)  # the mean ab of ImageNet's photographs
THUMB = 16  # pixels: side of the lightness that photographs are compared by
SKETCH = 64  # pixels: side of the training photographs on the way to it


def sample_ab(train: Photographs, protocol: Protocol) -> np.ndarray:
    """ab of every fourth pixel, along and across, of up to 2000 training photographs: float32 (n, 2).

    The photographs are drawn by lot from their content, so the same ones stay in as others join.
    """
    chosen = sorted(range(len(train)), key=lambda i: lot(train.sha256[i]))[:SAMPLE]
    grids = [protocol.picture(train.thumbnails[i], train.sha256[i])[::EVERY, ::EVERY] for i in chosen]
    return np.concatenate([to_lab(grid)[..., 1:].reshape(-1, 2) for grid in grids])


class Constant:
    """One color for everything."""

    def __init__(self, a: float, b: float):
        self.ab = np.array([a, b], np.float32)

    def __call__(self, lightness: np.ndarray) -> tuple[np.ndarray, None]:
        return np.broadcast_to(self.ab, (*lightness.shape, 2)), None


class Nearest:
    """The colors of the training photograph that looks most alike: the nearest by mean squared difference of
    lightness at 16 x 16 pixels, its colors resized to fit.
    """

    def __init__(self, train: Photographs, protocol: Protocol):
        self.train, self.protocol = train, protocol
        sketches = Protocol(protocol.name, SKETCH)
        small = [
            self._small(to_lab(sketches.picture(thumbnail, sha256))[..., 0])
            for thumbnail, sha256 in zip(train.thumbnails, train.sha256, strict=True)
        ]
        self.small = np.stack(small)
        self.norms = (self.small**2).sum(1)

    @staticmethod
    def _small(lightness: np.ndarray) -> np.ndarray:
        return cv2.resize(np.ascontiguousarray(lightness), (THUMB, THUMB), interpolation=cv2.INTER_AREA).ravel() / 100

    def find(self, lightness: np.ndarray) -> int:
        """The place in the training set of the photograph that is nearest to lightness (h, w)."""
        return int(np.argmin(self.norms - 2 * (self.small @ self._small(lightness))))

    def __call__(self, lightness: np.ndarray) -> tuple[np.ndarray, None]:
        found = self.find(lightness)
        return to_lab(self.protocol.picture(self.train.thumbnails[found], self.train.sha256[found]))[..., 1:], None


NAMES = ("gray", "mean ab", "ab (1.5, 8)", "nearest copy")


def baselines(train: Photographs, ab: np.ndarray, protocol: Protocol) -> list[Row]:
    """The four rows that are always there; ``ab`` is what ``sample_ab`` gave."""
    mean = tuple(float(value) for value in ab.mean(0, dtype=np.float64))
    return [
        Row(NAMES[0], "no color at all", Constant(0, 0)),
        Row(NAMES[1], f"the training split's mean color, ab = ({mean[0]:.1f}, {mean[1]:.1f}), everywhere",
            Constant(*mean), details={"ab": mean}),
        Row(NAMES[2], "the mean color published for ImageNet, everywhere", Constant(*PUBLISHED),
            details={"ab": PUBLISHED}),
        Row(NAMES[3], f"the colors of the one of {len(train):,} training photographs whose lightness is nearest",
            Nearest(train, protocol)),
    ]  # fmt: skip
