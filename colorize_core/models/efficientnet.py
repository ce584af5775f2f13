"""The encoder of the default colorizer: EfficientNet-Lite without its classifier, reading one channel of lightness.

Inverted residual blocks (Tan and Le, "EfficientNet", 2019, arXiv:1905.11946) in the Lite variants made for plain
processors: no squeeze-and-excitation, ReLU6 instead of Swish, a stem that is never widened. Shapes follow the published
networks, so that their ImageNet weights can start a training (``from_published``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from colorize_core.models.published import published

VARIANTS = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}  # width and depth multipliers

# kernel, expansion, channels, repeats, stride: the stages of the base network
STAGES = ((3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2), (5, 6, 112, 3, 1), (5, 6, 192, 4, 2),
          (3, 6, 320, 1, 1))  # fmt: skip


def rounded(channels: float) -> int:
    """The nearest multiple of 8, never more than a tenth below."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


class Convolution(nn.Sequential):
    """A convolution with batch norm, padded so that a stride of 2 halves even sizes as the published networks do."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, active=True):
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
            nn.ReLU6() if active else nn.Identity(),
        )
        self.pad = (kernel - 2) // 2 if stride == 2 else None
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        if self.pad is not None:
            after = self.kernel - 2 - self.pad
            x = F.pad(x, (self.pad, after, self.pad, after))
        return super().forward(x)


class InvertedResidual(nn.Module):
    """Expand, filter each channel alone, project; around an identity where the shape allows."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        self.expand = Convolution(inputs, wide) if expansion > 1 else nn.Identity()
        self.filter = Convolution(wide, wide, kernel, stride, groups=wide)
        self.project = Convolution(wide, outputs, active=False)
        self.identity = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.filter(self.expand(x)))
        return x + y if self.identity else y


class Encoder(nn.Module):
    """Lightness (B, 1, H, W) in -1..1 to features at 1/2, 1/4, 1/8, 1/16 and 1/32 of its size.

    H and W are multiples of 32; ``channels`` lists the features' channels in that order.
    """

    def __init__(self, variant: str):
        super().__init__()
        self.variant = variant
        width, depth = VARIANTS[variant]
        self.stem = Convolution(1, 32, 3, 2)
        stages, inputs = [], 32
        for i, (kernel, expansion, channels, repeats, stride) in enumerate(STAGES):
            outputs = rounded(channels * width)
            count = repeats if i in (0, len(STAGES) - 1) else -int(-repeats * depth // 1)
            blocks = []
            for k in range(count):
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride if k == 0 else 1, expansion))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.channels = [rounded(STAGES[i][2] * width) for i in (0, 1, 2, 4, 6)]

    def load_pretrained(self) -> None:
        """Start from what the published network learned on ImageNet. Raises Unavailable where that cannot be had."""
        self.load_state_dict(from_published(self.variant, published(self.variant)))

    def forward(self, lightness: Tensor) -> list[Tensor]:
        x, features = self.stem(lightness), []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in (0, 1, 2, 4, 6):
                features.append(x)
        return features


def from_published(variant: str, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of an ``Encoder`` from the published weights of the whole classifier.

    Gray goes in as three equal channels would, so the stem's weights are summed over color. Raises KeyError or
    RuntimeError where the names or shapes are not those of the variant.
    """
    encoder = Encoder(variant)
    places = [(i, k) for i, stage in enumerate(encoder.stages) for k in range(len(stage))]  # type: ignore[arg-type]
    parts = {"_expand_conv": "expand.0", "_bn0": "expand.1", "_depthwise_conv": "filter.0", "_bn1": "filter.1",
             "_project_conv": "project.0", "_bn2": "project.1"}  # fmt: skip
    state = {}
    for name, value in published.items():
        if found := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            block, part, leaf = found.groups()
            stage, k = places[int(block)]
            state[f"stages.{stage}.{k}.{parts[part]}.{leaf}"] = value
        elif name == "_conv_stem.weight":
            state["stem.0.weight"] = value.sum(1, keepdim=True)
        elif name.startswith("_bn0."):
            state[f"stem.1.{name[5:]}"] = value
    encoder.load_state_dict(state)
    return state
