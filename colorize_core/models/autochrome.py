"""The default colorizer: an image classifier's encoder, a small decoder, ab both regressed and classified.

The decoder climbs from 1/32 to a quarter of the picture's size and stops there: ab is smooth, and lightness at full
size is never predicted, only kept. For edges it is given each 4 x 4 block of lightness folded into channels. Two heads
share the trunk. The
regression head gives smooth color but, alone, the average of everything plausible, which is brown. The second head
gives a distribution over in-gamut ab bins (the idea of classifying color: Zhang, Isola and Efros, "Colorful Image
Colorization", 2016, arXiv:1603.08511); its annealed mean keeps colors that averaging would wash out, and its entropy
says how sure the network is. A pooled context vector modulates the deepest features: indoor light, sea and foliage
are properties of the whole photograph.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize_core import color
from colorize_core.models.efficientnet import Encoder

STRIDE = 32  # height and width of the input must be multiples of this


def ab_bins(width: float) -> Tensor:
    """Centers of the square ab bins of the given width that hold at least one sRGB color: (bins, 2), Lab units."""
    ramp = np.linspace(0.0, 1.0, 52, dtype=np.float32)
    rgb = np.stack(np.meshgrid(ramp, ramp, ramp, indexing="ij"), -1).reshape(-1, 3)
    cells = np.unique(np.round(color.srgb_to_lab(rgb)[:, 1:] / width).astype(np.int64), axis=0)
    return torch.from_numpy((cells * width).astype(np.float32))


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm around an identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x + self.body(x))


def merge(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.SiLU())


class Context(nn.Module):
    """Scale and shift every channel by what the whole picture holds."""

    def __init__(self, channels: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 2 * channels))

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = self.mlp(x.mean((2, 3))).unsqueeze(-1).unsqueeze(-1).chunk(2, 1)
        return x * (1 + scale) + shift


class Autochrome(nn.Module):
    """Lightness to ab.

    ``encoder`` names a variant of EfficientNet-Lite, ``widths`` are the decoder's channels at 1/32, 1/16, 1/8 and 1/4
    of the input, ``bin_width`` the side of an ab bin in Lab units. ``temperature`` anneals the distribution before its
    mean (1 is the mean, 0 the mode) and ``mix`` is that mean's share in the answer, the rest being the regression's;
    ``gain`` multiplies the chroma of the answer.

    With ``half_decoder`` set the decoder, which is most of the work, computes in bfloat16: 1.3 times as fast in all on
    a CPU made for that, and a photograph's color moves by less than 0.5 (CIEDE2000). The encoder in bfloat16 would gain
    little more, and some colors would move by 12.
    """

    bins: Tensor
    half_decoder = False

    def __init__(
        self,
        encoder: str = "lite0",
        widths: tuple[int, ...] = (256, 160, 128, 96),
        bin_width: float = 15.0,
        temperature: float = 0.4,
        mix: float = 0.5,
        gain: float = 1.0,
    ):
        super().__init__()
        self.temperature, self.mix, self.gain = temperature, mix, gain
        self.encoder = Encoder(encoder)
        _, at4, at8, at16, at32 = self.encoder.channels
        w32, w16, w8, w4 = widths
        self.deepest = nn.Sequential(merge(at32, w32, 1), Context(w32))
        self.decoder = nn.ModuleList(
            [
                nn.Sequential(merge(w32 + at16, w16), Block(w16)),
                nn.Sequential(merge(w16 + at8, w8), Block(w8)),
                nn.Sequential(merge(w8 + at4 + 16, w4), Block(w4)),
            ]
        )
        bins = ab_bins(bin_width)
        self.register_buffer("bins", bins)
        self.classify = nn.Conv2d(w4, len(bins), 1)
        self.regress = nn.Conv2d(w4, 2, 1)

    def heads(self, lightness: Tensor) -> tuple[Tensor, Tensor]:
        """Bin logits (B, bins, H/4, W/4) and regressed ab (B, 2, H/4, W/4) for lightness (B, 1, H, W) in 0..100."""
        x = lightness / 50 - 1
        _, at4, at8, at16, at32 = self.encoder(x)
        skips = (at16, at8, torch.cat([at4, F.pixel_unshuffle(x, 4)], 1))
        half = torch.autocast(x.device.type, torch.bfloat16) if self.half_decoder else nullcontext()
        with half:
            x = self.deepest(at32)
            for stage, skip in zip(self.decoder, skips, strict=True):
                x = stage(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        if self.half_decoder:
            x = x.float()
        return self.classify(x), self.regress(x) * 110

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """ab (B, 2, H, W) in Lab units and uncertainty (B, 1, H, W) in 0..1, the entropy of the bins over its maximum.

        ``lightness`` is (B, 1, H, W) in 0..100, H and W multiples of 32. This architecture takes no hints.
        """
        if hints is not None:
            raise ValueError("the autochrome architecture takes no color hints")
        if lightness.shape[-2] % STRIDE or lightness.shape[-1] % STRIDE:
            raise ValueError(f"height and width must be multiples of {STRIDE}, got {tuple(lightness.shape)}")
        logits, regressed = self.heads(lightness)
        log_p = F.log_softmax(logits.float(), 1)
        annealed = torch.einsum("bqhw,qc->bchw", F.softmax(log_p / self.temperature, 1), self.bins)
        ab = self.gain * (self.mix * annealed + (1 - self.mix) * regressed.float())
        entropy = -(log_p.exp() * log_p).sum(1, keepdim=True) / math.log(len(self.bins))
        size = lightness.shape[-2:]
        ab = F.interpolate(ab, size=size, mode="bicubic", align_corners=False)
        return ab, F.interpolate(entropy, size=size, mode="bilinear", align_corners=False)
