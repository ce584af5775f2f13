"""Color from brightness alone: an autoencoder that never looks further than 5 pixels, and a linear baseline.

Neither can know what a picture shows; they are the floor that a colorizer has to rise above.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from colorize_core.models.layers import AB, check


class WholeLab(nn.Module):
    """A network that predicts all three channels of Lab, lightness included, as their author's do.

    ``layers`` take and give fractions: L / 100, a / 128 and b / 128. Mended here:

    * the same scale for going in and out, where 8-bit codes 0..255 were regressed by an unscaled output;
    * an absent color is ab = 0, where the code 0 was fed, which is ab = -128.
    """

    stride = 1  # any height and width will do
    architecture: str
    inputs: int  # channels that go in; those beyond lightness are 0
    layers: nn.Sequential

    def lab(self, lightness: Tensor) -> Tensor:
        """Lab (B, 3, H, W) in Lab units, unbounded, of lightness (B, 1, H, W) in 0..100 and of any size."""
        check(self.architecture, self.stride, lightness, None)
        x = F.pad(lightness / 100, (0, 0, 0, 0, 0, self.inputs - 1))
        return self.layers(x) * lightness.new_tensor([100, AB, AB]).view(1, 3, 1, 1)

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """The ab (B, 2, H, W) of ``lab``; raises ValueError for hints."""
        check(self.architecture, self.stride, lightness, hints)
        return self.lab(lightness)[:, 1:]


class Autoencoder(WholeLab):
    """(L, 0, 0) to Lab at full size throughout; a pixel's color depends on the 5 x 5 pixels around it.

    Layers after the autoencoder of IrtezAhmed/ColourMePy.
    """

    architecture, inputs = "autoencoder", 3

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 2, padding=1), nn.ReLU(),
            nn.Conv2d(64, 32, 2), nn.ReLU(),
            nn.Conv2d(32, 32, 1), nn.ReLU(),
            nn.Conv2d(32, 3, 1),
        )  # fmt: skip


class Linear(WholeLab):
    """Three linear layers on each pixel, without activations: a straight line from L to each channel of Lab.

    Layers after the baseline of IrtezAhmed/ColourMePy.
    """

    architecture, inputs = "linear", 1

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 3, 1), nn.Conv2d(3, 3, 1))
