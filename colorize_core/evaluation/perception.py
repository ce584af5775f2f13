"""Measures taken by networks that see: LPIPS and FID. Their weights are downloaded when first used."""

from __future__ import annotations

import numpy as np
import torch

from colorize_core.torchvision_operators import declare

FEWEST = 5000  # photographs: with fewer, FID measures their number more than their colors


class Unavailable(Exception):
    """The measure cannot be taken; the message says why."""


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


class Lpips:
    """Learned perceptual image patch similarity with AlexNet: 0 for equal pictures, the less the more alike.

    Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable effectiveness of deep features as a perceptual metric",
    2018. Raises Unavailable when torchmetrics or the weights are not to be had.
    """

    def __init__(self) -> None:
        declare()
        try:
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

            self._network = LearnedPerceptualImagePatchSimilarity(net_type="alex").net.eval()
        except (ImportError, OSError, RuntimeError) as error:
            raise Unavailable(f"LPIPS is left out: its weights cannot be had ({_reason(error)})") from error

    def __call__(self, rgb: np.ndarray, truth: np.ndarray) -> float:
        """Of two (h, w, 3) uint8 pictures."""
        one, other = (torch.from_numpy(x).permute(2, 0, 1)[None].float() / 127.5 - 1 for x in (rgb, truth))
        with torch.inference_mode():
            return float(self._network(one, other))


class Inception:
    """The features that FID is made of: those of the original FID network, 2048 numbers a picture.

    Raises Unavailable for fewer than 5000 photographs, and when torchmetrics, torch-fidelity or the weights are not to
    be had.
    """

    def __init__(self, photographs: int):
        if photographs < FEWEST:
            raise Unavailable(
                f"FID is left out: on {photographs:,} photographs it would say nothing, it takes {FEWEST:,} or more"
            )
        declare()
        try:
            from torchmetrics.image.fid import FrechetInceptionDistance

            self._network = FrechetInceptionDistance(feature=2048).inception
        except (ImportError, OSError, RuntimeError) as error:
            raise Unavailable(f"FID is left out: its weights cannot be had ({_reason(error)})") from error

    def __call__(self, rgb: np.ndarray) -> torch.Tensor:
        """(1, 2048) for a (h, w, 3) uint8 picture."""
        with torch.inference_mode():
            return self._network(torch.from_numpy(rgb).permute(2, 0, 1)[None])


class Passed(torch.nn.Module):
    """Stands for a network whose features are handed in."""

    def __init__(self, features: int):
        super().__init__()
        self.num_features = features

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


class Fid:
    """The Frechet distance between the features of the true photographs and of a row's, for every row.

    ``add`` takes (n, features) of some photographs and, by row, those of the same ones colorized.
    """

    def __init__(self, rows: list[str], features: int = 2048):
        declare()
        from torchmetrics.image.fid import FrechetInceptionDistance

        self._distances = {row: FrechetInceptionDistance(feature=Passed(features)) for row in rows}

    def add(self, true: torch.Tensor, colorized: dict[str, torch.Tensor]) -> None:
        for row, features in colorized.items():
            self._distances[row].update(true, real=True)
            self._distances[row].update(features, real=False)

    def distances(self) -> dict[str, float]:
        return {row: float(distance.compute()) for row, distance in self._distances.items()}
