"""The smallest of the known colorizers: nine convolutions, 32,202 parameters, under half a GFLOP for 256 x 256."""

from __future__ import annotations

from torch import Tensor, nn

from colorize_core.models.layers import AB, ab_head, centered, check, stack


class Gray2Lab(nn.Module):
    """Lightness to ab by an encoder to 1/8 and back, without skips.

    Layers after "Gray2Lab" of devon-ge/PHBS_MLF_2018 (MIT). An ab at full size sees at most 47 x 47 pixels, too few
    to know a face from a wall.

    Mended here: lightness enters as L / 50 - 1, where it entered as 0..100.
    """

    stride = 8  # height and width of the input must be multiples of this

    def __init__(self):
        super().__init__()
        self.encoder = stack(1, (3, 8, 2), (3, 8, 1), (3, 16, 1), (3, 16, 2), (3, 32, 1), (3, 32, 2))
        self.decoder = stack(32, None, (3, 32, 1), None, (3, 16, 1), None)
        self.head = ab_head(16)

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """ab (B, 2, H, W) within -128..128 of lightness (B, 1, H, W) in 0..100; raises ValueError for hints."""
        check("gray2lab", self.stride, lightness, hints)
        return AB * self.head(self.decoder(self.encoder(centered(lightness))))
