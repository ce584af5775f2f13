"""The registry of architectures: a name, and the module it builds."""

from collections.abc import Callable

from torch import nn

from colorize_core.models.autochrome import Autochrome
from colorize_core.models.autoencoder import Autoencoder, Linear
from colorize_core.models.beta import Beta
from colorize_core.models.colornet import ColorNet
from colorize_core.models.gray2lab import Gray2Lab
from colorize_core.models.inception_fusion import InceptionFusion
from colorize_core.models.xception_fusion import XceptionFusion

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "autochrome": Autochrome,
    "autoencoder": Autoencoder,
    "beta": Beta,
    "colornet": ColorNet,
    "gray2lab": Gray2Lab,
    "inception-fusion": InceptionFusion,
    "linear": Linear,
    "xception-fusion": XceptionFusion,
}


def build(architecture: str, config: dict) -> nn.Module:
    """A freshly initialized network. Raises ValueError for a name that is not registered."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[architecture](**config)
