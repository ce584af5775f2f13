"""The registry of architectures: a name, and the module it builds."""

from collections.abc import Callable

from torch import nn

from colorize_core.models.autochrome import Autochrome

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"autochrome": Autochrome}


def build(architecture: str, config: dict) -> nn.Module:
    """A freshly initialized network. Raises ValueError for a name that is not registered."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[architecture](**config)
