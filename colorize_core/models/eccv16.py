"""Color as a classification: a distribution over 313 colors at every place, and its mean."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize_core.models.layers import check

BINS = 313  # of ab, 10 x 10 Lab units each


def convolutions(
    inputs: int, outputs: int, count: int, stride: int = 1, dilation: int = 1, norm: bool = True
) -> list[nn.Module]:
    """3 x 3 convolutions, each with a ReLU, the last of them with the stride; then a batch norm."""
    layers: list[nn.Module] = []
    for i in range(count):
        step = stride if i == count - 1 else 1
        layers += [nn.Conv2d(inputs, outputs, 3, step, dilation, dilation), nn.ReLU()]
        inputs = outputs
    return [*layers, nn.BatchNorm2d(outputs)] if norm else layers


class ECCV16(nn.Module):
    """Lightness to ab, for the weights that the authors of the paper published (``colorization_release_v2``).

    Richard Zhang, Phillip Isola, Alexei A. Efros, "Colorful Image Colorization", ECCV 2016, arXiv:1603.08511; their
    weights are under the BSD 2-clause license. Written anew from a description of the layers.

    Names and shapes of the parameters are those of the published file. Batch norms come after the ReLU.
    """

    stride = 8  # height and width of the input must be multiples of this

    def __init__(self):
        super().__init__()
        self.model1 = nn.Sequential(*convolutions(1, 64, 2, stride=2))
        self.model2 = nn.Sequential(*convolutions(64, 128, 2, stride=2))
        self.model3 = nn.Sequential(*convolutions(128, 256, 3, stride=2))
        self.model4 = nn.Sequential(*convolutions(256, 512, 3))
        self.model5 = nn.Sequential(*convolutions(512, 512, 3, dilation=2))
        self.model6 = nn.Sequential(*convolutions(512, 512, 3, dilation=2))
        self.model7 = nn.Sequential(*convolutions(512, 512, 3))
        self.model8 = nn.Sequential(
            nn.ConvTranspose2d(512, 256, 4, 2, 1),
            nn.ReLU(),
            *convolutions(256, 256, 2, norm=False),
            nn.Conv2d(256, BINS, 1),
        )
        self.model_out = nn.Conv2d(BINS, 2, 1, bias=False)  # the ab / 110 of every bin

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """ab (B, 2, H, W) in Lab units of lightness (B, 1, H, W) in 0..100.

        Raises ValueError for hints, or where 8 does not divide H and W.
        """
        return self._ab(self._distribution(lightness, hints))

    def with_uncertainty(self, lightness: Tensor, hints: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``forward``, and the entropy of the distribution over its maximum: (B, 1, H, W) in 0..1."""
        distribution = self._distribution(lightness, hints)
        return self._ab(distribution), normalized_entropy(distribution, 4)

    def _distribution(self, lightness: Tensor, hints: Tensor | None) -> Tensor:
        check("eccv16", self.stride, lightness, hints)
        x = (lightness - 50) / 100
        for part in (self.model1, self.model2, self.model3, self.model4, self.model5, self.model6, self.model7):
            x = part(x)
        return self.model8(x).float().softmax(1)

    def _ab(self, distribution: Tensor) -> Tensor:
        ab = self.model_out(distribution)
        return 110 * F.interpolate(ab, scale_factor=4.0, mode="bilinear", align_corners=False)


def normalized_entropy(distribution: Tensor, scale: int) -> Tensor:
    """Entropy over its maximum, enlarged: (B, 1, scale * h, scale * w) in 0..1 of probabilities (B, bins, h, w).

    They must be float32: half precision rounds so coarsely that they no longer add up to 1.
    """
    entropy = torch.special.entr(distribution).sum(1, keepdim=True) / math.log(distribution.shape[1])
    return F.interpolate(entropy, scale_factor=float(scale), mode="bilinear", align_corners=False).clamp(0, 1)
