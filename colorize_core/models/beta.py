"""A plain encoder and decoder, made to learn one kind of picture: one breed of cat, one kind of landscape."""

from __future__ import annotations

from torch import Tensor, nn

from colorize_core.models.layers import AB, ab_head, centered, check, stack, up


class Beta(nn.Module):
    """Lightness to ab by an encoder to 1/8 and back, without skips.

    Layers after "colornet_beta" of JJHAirylin/Auto-colorization-for-greyscale-images, itself after
    emilwallner/Coloring-greyscale-images. The last doubling comes after the output convolution, so
    the answer is color at half size with every pixel repeated; an ab sees 93 x 93 pixels.

    Mended here: lightness enters as L / 50 - 1, where it entered as 0..100.
    """

    stride = 8  # height and width of the input must be multiples of this

    def __init__(self):
        super().__init__()
        self.encoder = stack(
            1, (3, 64, 1), (3, 64, 2), (3, 128, 1), (3, 128, 2), (3, 256, 1), (3, 256, 2), (3, 512, 1), (3, 256, 1)
        )
        self.decoder = stack(256, (3, 128, 1), None, (3, 64, 1), None, (3, 32, 1))
        self.head = nn.Sequential(ab_head(32), up())

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """ab (B, 2, H, W) within -128..128 of lightness (B, 1, H, W) in 0..100; raises ValueError for hints."""
        check("beta", self.stride, lightness, hints)
        return AB * self.head(self.decoder(self.encoder(centered(lightness))))
