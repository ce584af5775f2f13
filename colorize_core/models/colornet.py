"""A U-Net from lightness to ab."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize_core.models.layers import AB, check, gray

WIDTHS = (64, 128, 256, 512, 1024)  # channels at full size, 1/2, 1/4, 1/8 and 1/16


def double(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3 x 3 convolutions, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class ColorNet(nn.Module):
    """Lightness to ab by a U-Net that pools by maxima and climbs by transposed convolutions; its output is linear.

    Layers after "ColorNet" of TheDetial/Make-Fashion, with both of its inputs: ``variant`` "L" reads lightness, "gray"
    the sRGB code of the same gray. Mended here:

    * variant "L" reads L / 100, where L in 0..100 was divided by 255 and used two fifths of the range;
    * an output of 0 means gray and 1 means 128 Lab units, where 0 meant ab = -128: (ab + 128) / 255 makes a fresh
      network a deep blue-green one, and the author blames it for dark pictures.

    Kept: transposed convolutions, which may leave a checkerboard, and pooling, which loses small things.
    """

    stride = 16  # height and width of the input must be multiples of this

    def __init__(self, variant: str = "L"):
        super().__init__()
        if variant not in ("L", "gray"):
            raise ValueError(f"unknown variant {variant!r} of colornet; known: L, gray")
        self.variant = variant
        self.down = nn.ModuleList([double(i, o) for i, o in zip((1, *WIDTHS), WIDTHS, strict=False)])
        pairs = list(zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
        self.climb = nn.ModuleList([nn.ConvTranspose2d(wide, narrow, 2, stride=2) for wide, narrow in pairs])
        self.merge = nn.ModuleList([double(wide, narrow) for wide, narrow in pairs])
        self.head = nn.Conv2d(WIDTHS[0], 2, 1)

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """ab (B, 2, H, W), unbounded, of lightness (B, 1, H, W) in 0..100; raises ValueError for hints."""
        check("colornet", self.stride, lightness, hints)
        x = gray(lightness) if self.variant == "gray" else lightness / 100
        skips: list[Tensor] = []
        for i, layers in enumerate(self.down):
            x = layers(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for climb, merge, skip in zip(self.climb, self.merge, skips[-2::-1], strict=True):
            x = merge(torch.cat([skip, climb(x)], 1))
        return AB * self.head(x)
