"""A U-Net that takes color hints along with lightness."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from colorize_core.models.eccv16 import convolutions, normalized_entropy
from colorize_core.models.layers import check

AB = 110.0  # Lab units for an output of 1, and for a hint of 1
BINS = 529  # of ab: 23 x 23, 10 Lab units apart
TEMPERATURE = 0.2  # by which the logits of the distribution are multiplied


def up(inputs: int, outputs: int) -> nn.Sequential:
    """Height and width doubled by a transposed convolution."""
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1))


def short(inputs: int, outputs: int) -> nn.Sequential:
    """A skip connection: what is added to features of the same size on the way up."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1))


class SIGGRAPH17(nn.Module):
    """Lightness and hints to ab, for the weights that the authors of the paper published (``siggraph17``).

    Richard Zhang, Jun-Yan Zhu, Phillip Isola, Xinyang Geng, Angela S. Lin, Tianhe Yu, Alexei A. Efros, "Real-Time
    User-Guided Image Colorization with Learned Deep Priors", SIGGRAPH 2017, arXiv:1705.02999; their weights are under
    the BSD 2-clause license. Written anew from a description of the layers.

    Names and shapes of the parameters are those of the published file. ``mask_center`` is taken from the mask of the
    hints: 0 for the published weights, 0.5 for weights of the authors' later training program.
    """

    stride = 8  # height and width of the input must be multiples of this
    takes_hints = True

    def __init__(self, mask_center: float = 0.0):
        super().__init__()
        self.mask_center = mask_center
        self.model1 = nn.Sequential(*convolutions(4, 64, 2))
        self.model2 = nn.Sequential(*convolutions(64, 128, 2))
        self.model3 = nn.Sequential(*convolutions(128, 256, 3))
        self.model4 = nn.Sequential(*convolutions(256, 512, 3))
        self.model5 = nn.Sequential(*convolutions(512, 512, 3, dilation=2))
        self.model6 = nn.Sequential(*convolutions(512, 512, 3, dilation=2))
        self.model7 = nn.Sequential(*convolutions(512, 512, 3))
        self.model8up = up(512, 256)
        self.model8 = nn.Sequential(nn.ReLU(), *convolutions(256, 256, 2))
        self.model9up = up(256, 128)
        self.model9 = nn.Sequential(nn.ReLU(), *convolutions(128, 128, 1))
        self.model10up = up(128, 128)
        self.model10 = nn.Sequential(nn.ReLU(), nn.Conv2d(128, 128, 3, 1, 1), nn.LeakyReLU(0.2))
        self.model3short8 = short(256, 256)
        self.model2short9 = short(128, 128)
        self.model1short10 = short(64, 128)
        self.model_class = nn.Sequential(nn.Conv2d(256, BINS, 1))
        self.model_out = nn.Sequential(nn.Conv2d(128, 2, 1), nn.Tanh())

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """ab (B, 2, H, W) in Lab units of lightness (B, 1, H, W) in 0..100.

        hints: (B, 3, H, W): a and b in Lab units, 0 where there is no hint, and a mask, 1 where there is one. Raises
        ValueError for another shape, or where 8 does not divide H and W.
        """
        return self._ab(*self._features(lightness, hints))

    def with_uncertainty(self, lightness: Tensor, hints: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``forward``, and the entropy of the distribution of colors over its maximum: (B, 1, H, W) in 0..1."""
        features = self._features(lightness, hints)
        distribution = (TEMPERATURE * self.model_class(features[-1]).float()).softmax(1)
        return self._ab(*features), normalized_entropy(distribution, 4)

    def _features(self, lightness: Tensor, hints: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """At full size, at half of it, and, decoded, at a quarter."""
        check("siggraph17", self.stride, lightness, None)
        batch, _, height, width = lightness.shape
        if hints is None:
            hints = lightness.new_zeros(batch, 3, height, width)
        if hints.shape != (batch, 3, height, width):
            raise ValueError(f"hints must be {(batch, 3, height, width)}, got {tuple(hints.shape)}")
        seen = torch.cat([(lightness - 50) / 100, hints[:, :2] / AB, hints[:, 2:] - self.mask_center], 1)
        full = self.model1(seen)
        half = self.model2(full[..., ::2, ::2])
        quarter = self.model3(half[..., ::2, ::2])
        x = self.model4(quarter[..., ::2, ::2])
        for part in (self.model5, self.model6, self.model7):
            x = part(x)
        return full, half, self.model8(self.model8up(x) + self.model3short8(quarter))

    def _ab(self, full: Tensor, half: Tensor, decoded: Tensor) -> Tensor:
        x = self.model9(self.model9up(decoded) + self.model2short9(half))
        x = self.model10(self.model10up(x) + self.model1short10(full))
        return AB * self.model_out(x)
