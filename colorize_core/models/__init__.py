"""The registry of architectures: a name, and the module it builds."""

from collections.abc import Callable
from functools import partial

from torch import nn

from colorize_core.models.autochrome import Autochrome
from colorize_core.models.autoencoder import Autoencoder, Linear
from colorize_core.models.beta import Beta
from colorize_core.models.colornet import ColorNet
from colorize_core.models.ddcolor import DDColor
from colorize_core.models.eccv16 import ECCV16
from colorize_core.models.gray2lab import Gray2Lab
from colorize_core.models.inception_fusion import InceptionFusion
from colorize_core.models.onnx_graph import OnnxGraph
from colorize_core.models.siggraph17 import SIGGRAPH17
from colorize_core.models.xception_fusion import XceptionFusion

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "autochrome": Autochrome,
    "autoencoder": Autoencoder,
    "beta": Beta,
    "colornet": ColorNet,
    "ddcolor-large": partial(DDColor, "large"),
    "ddcolor-tiny": partial(DDColor, "tiny"),
    "eccv16": ECCV16,
    "gray2lab": Gray2Lab,
    "inception-fusion": InceptionFusion,
    "linear": Linear,
    "onnx": OnnxGraph,
    "siggraph17": SIGGRAPH17,
    "xception-fusion": XceptionFusion,
}


def build(architecture: str, config: dict | None = None) -> nn.Module:
    """A freshly initialized network, by default with its own defaults. Raises ValueError for an unregistered name."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[architecture](**(config or {}))
