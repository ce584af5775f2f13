"""A frozen image classifier, which tells a colorizer what a picture shows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize_core import torchvision_operators
from colorize_core.models.efficientnet import Convolution, Encoder, from_published
from colorize_core.models.layers import gray
from colorize_core.models.published import Unavailable, published

SIDES = {"xception": 299, "inception-resnet-v2": 299, "efficientnet-lite0": 224}  # pixels of a square input
TIMM = {"xception": "legacy_xception", "inception-resnet-v2": "inception_resnet_v2"}
REMEDY = "connect this machine to the internet once, or choose another with the config classifier: efficientnet-lite0"


def from_timm(name: str, pretrained: bool = False) -> nn.Module:
    """A classifier of the timm package, freshly initialized or as published. Raises Unavailable."""
    torchvision_operators.declare()
    try:
        import timm
    except (ImportError, OSError, RuntimeError) as error:  # the last where torchvision does not fit torch
        message = f"the classifier {name} needs the package timm ({error}): pip install 'autochrome-archive[train]'"
        raise Unavailable(f"{message}, or choose another with the config classifier: efficientnet-lite0") from error
    try:
        return timm.create_model(TIMM[name], pretrained=pretrained)
    except Exception as error:  # whatever lies between here and the hub
        if not pretrained:
            raise
        raise Unavailable(f"the published weights of {name} cannot be downloaded ({error}): {REMEDY}") from error


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 on one channel in -1..1, to the logits of its 1000 classes."""

    def __init__(self):
        super().__init__()
        self.encoder = Encoder("lite0")
        self.head = Convolution(self.encoder.channels[-1], 1280)
        self.fc = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.head(self.encoder(x)[-1]).mean((2, 3)))


def lite0_state(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of an ``EfficientNetLite0`` from the published weights."""
    state = {f"encoder.{name}": value for name, value in from_published("lite0", weights).items()}
    for theirs, ours in {"_conv_head.": "head.0.", "_bn1.": "head.1.", "_fc.": "fc."}.items():
        state |= {ours + name[len(theirs) :]: value for name, value in weights.items() if name.startswith(theirs)}
    return state


class Classifier(nn.Module):
    """Lightness (B, 1, H, W) in 0..100 to the probabilities of the 1000 ImageNet classes, (B, 1000).

    ``name`` is "xception", "inception-resnet-v2" or "efficientnet-lite0". It makes its own input of the lightness that
    the colorizer gets: the sRGB gray of it, squashed to the square it was trained on, in -1..1, for three equal
    channels where it wants three. It is never trained: no gradient, no batch statistics, whatever mode its owner is in.
    A new one holds random weights, to be filled from a weights file or by ``load_pretrained``.

    Raises ValueError for another name, and Unavailable where timm is needed and missing.
    """

    def __init__(self, name: str):
        super().__init__()
        if name not in SIDES:
            raise ValueError(f"unknown classifier {name!r}; known: {', '.join(SIDES)}")
        self.name, self.side = name, SIDES[name]
        self.network = from_timm(name) if name in TIMM else EfficientNetLite0()
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Classifier:
        """Stay in evaluation mode."""
        return super().train(False)

    def load_pretrained(self) -> None:
        """Take the weights published for ImageNet, downloaded or from a package. Raises Unavailable."""
        if self.name in TIMM:
            self.network.load_state_dict(from_timm(self.name, pretrained=True).state_dict())
        else:
            self.network.load_state_dict(lite0_state(published("lite0")))

    @torch.no_grad()
    def forward(self, lightness: Tensor) -> Tensor:
        size = (self.side, self.side)
        x = 2 * F.interpolate(gray(lightness), size, mode="bilinear", align_corners=False, antialias=True) - 1
        if self.name in TIMM:
            x = x.expand(-1, 3, -1, -1)
        return F.softmax(self.network(x).float(), 1)
