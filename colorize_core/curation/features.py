"""What photographs are compared by when they are clustered: a few numbers for each picture.

A feature is fitted to some pictures and then gives the numbers of any; both see pictures of SIDE x SIDE pixels,
uint8 (n, SIDE, SIDE, 3), sRGB.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from colorize_core import color

SIDE = 256  # pixels
Pictures = Callable[[], Iterator[np.ndarray]]  # each call goes through the same batches again


class Feature(ABC):
    """A fitted feature; it does not change."""

    @classmethod
    @abstractmethod
    def fit(cls, pictures: Pictures) -> Self:
        """The feature for pictures like these. ValueError when there are too few."""

    @abstractmethod
    def transform(self, pictures: np.ndarray) -> np.ndarray:
        """The numbers of each picture: (n, d) float32."""

    @abstractmethod
    def to_tensors(self) -> dict[str, np.ndarray]:
        """What was fitted, by name."""

    @classmethod
    @abstractmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Self:
        """The feature that gave these tensors, others among them aside. Raises KeyError and ValueError."""


@dataclass(frozen=True)
class Color(Feature):
    """The leading color: hue and strength of the vivid parts of a picture, 2 numbers along Lab a and b.

    It is the mean of ab over a 32 x 32 copy with each pixel weighted by its chroma, so that a gray pavement does not
    wash out a red coat. Its chroma c becomes c / sqrt(c + 8), which spreads the muted colors that most photographs
    have. Nothing is fitted. On 20,983 photographs five clusters are greenery; sky, sea and snow; streets and grays;
    rooms, food and evening light; skin and reds.
    """

    SMALL = 32  # pixels
    MUTED = 8.0  # chroma up to which a color counts in proportion

    @classmethod
    def fit(cls, pictures: Pictures) -> Self:
        return cls()

    def transform(self, pictures: np.ndarray) -> np.ndarray:
        size = self.SMALL, self.SMALL
        small = np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures])
        ab = color.srgb_to_lab(small.reshape(len(small), -1, 3).astype(np.float32) / 255)[..., 1:]
        chroma = np.hypot(ab[..., 0], ab[..., 1])[..., None]
        mean = (chroma * ab).sum(1) / np.maximum(chroma.sum(1), 1e-6)
        return (mean / np.sqrt(np.hypot(mean[:, :1], mean[:, 1:]) + self.MUTED)).astype(np.float32)

    def to_tensors(self) -> dict[str, np.ndarray]:
        return {}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Self:
        return cls()


@dataclass(frozen=True)
class Pixels(Feature):
    """The first principal component of each of the channels R, G and B: 3 numbers, mostly how light a picture is.

    Every pixel is a variable, standardized over the pictures fitted. Scores grow as a channel gets lighter.

    weights: (3, SIDE * SIDE) float32, what a level of each pixel adds to a score. offset: (3,) float32, subtracted.
    """

    weights: np.ndarray
    offset: np.ndarray

    COMPONENTS = 4  # carried from batch to batch, so that the first is near what one pass over all would give
    BATCH = 32  # pictures a step; the work grows with it

    @classmethod
    def fit(cls, pictures: Pictures) -> Self:
        from sklearn.decomposition import IncrementalPCA  # slow to import; workers only transform

        count, total, squares = 0, np.zeros((3, SIDE * SIDE)), np.zeros((3, SIDE * SIDE))
        for planes in _planes(pictures, cls.BATCH):
            count += planes.shape[1]
            total += planes.sum(1, dtype=np.float64)
            squares += np.einsum("cnp,cnp->cp", planes, planes, dtype=np.float64)
        if count < 2:
            raise ValueError(f"{count} pictures do not differ; fit to two or more")
        mean = total / count
        scale = np.sqrt(np.maximum(squares / count - mean**2, 0))
        scale[scale < 0.5] = np.inf  # levels: a pixel that never changes says nothing
        mean32, inverse = mean.astype(np.float32), (1 / scale).astype(np.float32)
        analyses = [IncrementalPCA(min(cls.COMPONENTS, count)) for _ in range(3)]
        for planes in _planes(pictures, cls.BATCH):
            for channel, analysis in enumerate(analyses):
                standard = (planes[channel] - mean32[channel]) * inverse[channel]
                if len(standard) >= analysis.n_components:  # fewer are what is left over at the end
                    analysis.partial_fit(standard)
        first = np.stack([analysis.components_[0] * np.sign(analysis.components_[0].sum()) for analysis in analyses])
        weights = first / scale
        return cls(weights.astype(np.float32), (weights * mean).sum(1).astype(np.float32))

    def transform(self, pictures: np.ndarray) -> np.ndarray:
        scores = np.empty((len(pictures), 3), np.float32)
        for number, picture in enumerate(pictures):
            planes = picture.reshape(-1, 3).T.astype(np.float32)
            scores[number] = np.einsum("cp,cp->c", planes, self.weights)
        return scores - self.offset

    def to_tensors(self) -> dict[str, np.ndarray]:
        return {"weights": self.weights, "offset": self.offset}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Self:
        weights, offset = tensors["weights"], tensors["offset"]
        if weights.shape != (3, SIDE * SIDE) or offset.shape != (3,):
            raise ValueError(f"weights of shape {weights.shape} and offset of {offset.shape}")
        return cls(weights, offset)


def _planes(pictures: Pictures, size: int) -> Iterator[np.ndarray]:
    """All pictures, ``size`` at a time, as float32 (3, n, SIDE * SIDE)."""
    rest = np.zeros((0, SIDE, SIDE, 3), np.uint8)
    for batch in pictures():
        rest = np.concatenate([rest, batch])
        while len(rest) >= size:
            yield _split(rest[:size])
            rest = rest[size:]
    if len(rest):
        yield _split(rest)


def _split(batch: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(batch.reshape(len(batch), -1, 3).transpose(2, 0, 1), np.float32)


FEATURES: dict[str, type[Feature]] = {"color": Color, "pixels": Pixels}
