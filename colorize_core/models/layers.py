"""What the small colorizers are stacked from: 3 x 3 convolutions, doubling, and lightness in their units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from colorize_core import color

AB = 128.0  # Lab units for an output of 1

Step = tuple[int, int, int] | None


def up() -> nn.Upsample:
    """Height and width doubled by repeating each pixel."""
    return nn.Upsample(scale_factor=2.0, mode="nearest")


def convolution(inputs: int, kernel: int, outputs: int, stride: int) -> nn.Conv2d:
    """A convolution that leaves 1 / ``stride`` of an even size, padded evenly.

    Its weights start at Glorot's uniform distribution and its biases at 0, as in the framework these networks come
    from; torch's own start is so small that ten layers of it say nothing.
    """
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def stack(inputs: int, *steps: Step) -> nn.Sequential:
    """Convolutions (kernel, channels, stride), each with a ReLU; None doubles height and width."""
    layers: list[nn.Module] = []
    for step in steps:
        if step is None:
            layers.append(up())
        else:
            kernel, outputs, stride = step
            layers += [convolution(inputs, kernel, outputs, stride), nn.ReLU()]
            inputs = outputs
    return nn.Sequential(*layers)


def ab_head(inputs: int) -> nn.Sequential:
    """The 3 x 3 convolution that answers in ab / 128, within -1..1."""
    return nn.Sequential(convolution(inputs, 3, 2, 1), nn.Tanh())


def check(architecture: str, stride: int, lightness: Tensor, hints: Tensor | None) -> None:
    """Raise ValueError for hints, for a shape other than (B, 1, H, W), or if ``stride`` does not divide H and W."""
    if hints is not None:
        raise ValueError(f"the {architecture} architecture takes no color hints")
    if lightness.ndim != 4 or lightness.shape[1] != 1:
        raise ValueError(f"lightness must be (B, 1, H, W), got {tuple(lightness.shape)}")
    if lightness.shape[2] % stride or lightness.shape[3] % stride:
        raise ValueError(f"height and width must be multiples of {stride}, got {tuple(lightness.shape)}")


def centered(lightness: Tensor) -> Tensor:
    """Lightness 0..100 to -1..1."""
    return lightness / 50 - 1


def gray(lightness: Tensor) -> Tensor:
    """The sRGB code in 0..1 of a neutral gray of the given lightness in 0..100, any shape; to float32's own precision.

    By CIE 15 and IEC 61966-2-1: the way through a matrix, whose rows do not quite add up to white, is less exact.
    """
    f = (lightness + 16) / 116
    luminance = torch.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    return color.linear_to_srgb(luminance.clamp(0, 1))
