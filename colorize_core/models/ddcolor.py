"""A published colorizer that first settles which colors a picture has, then where each of them goes.

DDColor, re-implemented: Xiaoyang Kang, Tao Yang, Wenqi Ouyang, Peiran Ren, Lingzhi Li and Xuansong Xie,
"DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders", ICCV 2023, arXiv:2212.11613 (code and
weights: Apache-2.0). Its encoder is ConvNeXt: Zhuang Liu, Hanzi Mao, Chao-Yuan Wu, Christoph Feichtenhofer, Trevor
Darrell and Saining Xie, "A ConvNet for the 2020s", CVPR 2022, arXiv:2201.03545 (code: MIT). Modules bear the names
that the published weights have in their files.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import remove_spectral_norm, spectral_norm

from colorize_core.models.layers import check, gray

DEPTHS = {"tiny": (3, 3, 9, 3), "large": (3, 3, 27, 3)}  # blocks in each stage of the encoder
WIDTHS = {"tiny": (96, 192, 384, 768), "large": (192, 384, 768, 1536)}  # channels of each stage
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's red, green and blue
QUERIES = 100
WIDTH = 256  # numbers in a query, and channels of the picture that queries are multiplied with
HEADS = 8
LAYERS = 9  # of the color decoder; each looks at one scale


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """ConvNeXt's: a depthwise 7 x 7 convolution and a layer of four times the channels, scaled, beside an identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """A normalized RGB picture (B, 3, H, W) to features at 1/4, 1/8, 1/16 and 1/32 of its size."""

    def __init__(self, depths: tuple[int, ...], widths: tuple[int, ...]):
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, stride=4), ChannelNorm(widths[0], eps=1e-6))
        self.downsample_layers = nn.ModuleList([stem])
        for inputs, outputs in pairwise(widths):
            halve = nn.Sequential(ChannelNorm(inputs, eps=1e-6), nn.Conv2d(inputs, outputs, 2, stride=2))
            self.downsample_layers.append(halve)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth))) for depth, width in zip(depths, widths, strict=True)
        )
        for i, width in enumerate(widths):
            self.add_module(f"norm{i}", ChannelNorm(width, eps=1e-6))
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6)  # of the classifier that this once was; files hold it

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for i, (down, stage) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = stage(down(x))
            features.append(self.get_submodule(f"norm{i}")(x))
        return features


class Enlarge(nn.Module):
    """``scale`` times the height and width: pixels from channels, then 2 x 2 means against a checkerboard."""

    def __init__(self, inputs: int, outputs: int, scale: int, norm: bool):
        super().__init__()
        channels = outputs * scale**2
        convolution = spectral_norm(nn.Conv2d(inputs, channels, 1, bias=not norm))
        self.conv = nn.Sequential(convolution, nn.BatchNorm2d(channels) if norm else nn.Identity(), nn.ReLU())
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.conv(x), self.scale)
        return F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="replicate"), 2, stride=1)


class Rise(nn.Module):
    """One step of the pixel decoder: twice the size, joined with the encoder's features of that size."""

    def __init__(self, inputs: int, skip: int, outputs: int):
        super().__init__()
        self.shuf = Enlarge(inputs, outputs, 2, norm=True)
        self.bn = nn.BatchNorm2d(skip)
        convolution = spectral_norm(nn.Conv2d(outputs + skip, outputs, 3, padding=1, bias=False))
        self.conv = nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(F.relu(torch.cat([self.shuf(x), self.bn(skip)], 1)))


class CrossAttention(nn.Module):
    """Queries (B, N, C) look at the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, code: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return self.norm(x + self.multihead_attn(x + code, keys, values, need_weights=False)[0])


class SelfAttention(nn.Module):
    """Queries (B, N, C) look at each other."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        return self.norm(x + self.self_attn(x + code, x + code, x, need_weights=False)[0])


class FeedForward(nn.Module):
    """Each query by itself, through a layer of eight times its width."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(WIDTH, 8 * WIDTH)
        self.linear2 = nn.Linear(8 * WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.linear2(F.relu(self.linear1(x))))


class MLP(nn.Module):
    """Three linear layers of one width with ReLUs between."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = self.layers
        return third(F.relu(second(F.relu(first(x)))))


def positions(height: int, width: int, device: torch.device) -> Tensor:
    """A float32 code (height * width, WIDTH) of the cells of a grid, row by row: first their row, then their column.

    Sines and cosines of WIDTH / 4 frequencies each, once around the circle at the lowest: Ashish Vaswani et al.,
    "Attention Is All You Need", 2017, arXiv:1706.03762, for two axes as Nicolas Carion et al., "End-to-End Object
    Detection with Transformers", 2020, arXiv:2005.12872.
    """

    def code(cells: int) -> Tensor:
        turns = torch.arange(1, cells + 1, device=device) / (cells + 1e-6)
        periods = 10000 ** (torch.arange(0, WIDTH // 2, 2, device=device) / (WIDTH // 2))
        angles = 2 * math.pi * turns[:, None] / periods
        return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)

    rows = code(height)[:, None].expand(-1, width, -1)
    columns = code(width)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1)


class ColorDecoder(nn.Module):
    """What colors a picture has: QUERIES vectors, refined by looking at its three scales in turn."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.query_feat = nn.Embedding(QUERIES, WIDTH)
        self.query_embed = nn.Embedding(QUERIES, WIDTH)
        self.level_embed = nn.Embedding(len(channels), WIDTH)
        self.input_proj = nn.ModuleList(nn.Conv2d(c, WIDTH, 1) for c in channels)
        self.transformer_self_attention_layers = nn.ModuleList(SelfAttention() for _ in range(LAYERS))
        self.transformer_cross_attention_layers = nn.ModuleList(CrossAttention() for _ in range(LAYERS))
        self.transformer_ffn_layers = nn.ModuleList(FeedForward() for _ in range(LAYERS))
        self.decoder_norm = nn.LayerNorm(WIDTH)
        self.color_embed = MLP()

    def forward(self, scales: list[Tensor]) -> Tensor:
        """(B, QUERIES, WIDTH) for three scales, each (B, C, h, w)."""
        values, keys = [], []
        for scale, project, level in zip(scales, self.input_proj, self.level_embed.weight, strict=True):
            _, _, height, width = scale.shape
            values.append(project(scale).flatten(2).transpose(1, 2) + level)
            keys.append(values[-1] + positions(height, width, scale.device))
        x, code = self.query_feat.weight.repeat(scales[0].shape[0], 1, 1), self.query_embed.weight
        for i in range(LAYERS):
            level = i % len(scales)
            x = self.transformer_cross_attention_layers[i](x, code, keys[level], values[level])
            x = self.transformer_self_attention_layers[i](x, code)
            x = self.transformer_ffn_layers[i](x)
        return self.color_embed(self.decoder_norm(x))


class Decoder(nn.Module):
    """Both decoders: where a color goes, at full size, and which colors there are."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        at4, at8, at16, at32 = widths
        self.layers = nn.ModuleList([Rise(at32, at16, 512), Rise(512, at8, 512), Rise(512, at4, 256)])
        self.last_shuf = Enlarge(256, WIDTH, 4, norm=False)
        self.color_decoder = ColorDecoder((512, 512, 256))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps (B, QUERIES, H, W) for the encoder's four features."""
        *skips, x = features
        scales = []
        for rise, skip in zip(self.layers, reversed(skips), strict=True):
            x = rise(x, skip)
            scales.append(x)
        return torch.einsum("bqc,bchw->bqhw", self.color_decoder(scales), self.last_shuf(x))


class DDColor(nn.Module):
    """Lightness to ab, in the ``size`` tiny (55 million parameters) or large (228 million).

    For evaluation only. The state dict is that of the published files, in which eight convolutions are kept as
    torch.nn.utils.spectral_norm keeps them; ``fold`` makes them plain.
    """

    stride = 32  # height and width of the input must be multiples of this
    mean: Tensor
    std: Tensor

    def __init__(self, size: str):
        super().__init__()
        if size not in DEPTHS:
            raise ValueError(f"unknown size {size!r} of ddcolor; known: {', '.join(DEPTHS)}")
        self.size = size
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        self.encoder = nn.ModuleDict({"arch": ConvNeXt(DEPTHS[size], WIDTHS[size])})
        self.decoder = Decoder(WIDTHS[size])
        self.refine_net = nn.Sequential(nn.Sequential(spectral_norm(nn.Conv2d(QUERIES + 3, 2, 1))))

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """ab (B, 2, H, W) in Lab units, unbounded, of lightness (B, 1, H, W) in 0..100, H and W multiples of 32.

        ``lightness`` may also be (B, 3, H, W), a neutral sRGB picture in 0..1 with three equal channels: what the
        authors' program feeds. Raises ValueError for hints and for other shapes.
        """
        is_rgb = lightness.ndim == 4 and lightness.shape[1] == 3
        check(f"ddcolor-{self.size}", self.stride, lightness[:, :1] if is_rgb else lightness, hints)
        x = ((lightness if is_rgb else gray(lightness)) - self.mean) / self.std
        return self.refine_net(torch.cat([self.decoder(self.encoder["arch"](x)), x], 1))

    def fold(self) -> None:
        """Make every convolution with a spectral norm a plain one, with the weights it has computed with so far."""
        for layer in self.modules():
            if hasattr(layer, "weight_orig"):
                remove_spectral_norm(layer)
