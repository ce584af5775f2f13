"""What two colorizers share: local features beside the opinion of an image classifier about the whole picture.

The idea is that of Baldassarre, Gonzalez Morin and Rodes-Guirao, "Deep Koalarization", 2017, arXiv:1712.03400.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from colorize_core.models.classifier import Classifier
from colorize_core.models.layers import AB, centered, check, convolution, stack


class Fusion(nn.Module):
    """An encoder to 1/8; the classifier's 1000 numbers repeated at every place; one convolution over both; a decoder.

    ``decoder`` and ``head`` belong to the architecture. The classifier's weights are part of the state, so that a
    weights file needs nothing beside it.
    """

    stride = 8  # height and width of the input must be multiples of this
    architecture: str
    decoder: nn.Module
    head: nn.Module

    def __init__(self, classifier: str):
        super().__init__()
        self.classifier = Classifier(classifier)
        self.encoder = stack(
            1, (3, 64, 2), (3, 128, 1), (3, 128, 2), (3, 256, 1), (3, 256, 2), (3, 512, 1), (3, 512, 1), (3, 256, 1)
        )
        self.fuse = nn.Sequential(convolution(256 + 1000, 1, 256, 1), nn.ReLU())

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """ab (B, 2, H, W) within -128..128 of lightness (B, 1, H, W) in 0..100; raises ValueError for hints."""
        check(self.architecture, self.stride, lightness, hints)
        features = self.encoder(centered(lightness))
        embedding = self.classifier(lightness)[:, :, None, None].expand(-1, -1, *features.shape[2:])
        fused = self.fuse(torch.cat([features, embedding.to(features.dtype)], 1))
        return AB * self.head(self.decoder(fused))
