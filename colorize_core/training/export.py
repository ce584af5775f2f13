"""Weights files out of networks, and back into them."""

from __future__ import annotations

import json
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from colorize_core.training.checkpoint import TrainingError
from colorize_core.training.recipe import Recipe

LICENSE = "Apache-2.0; the photographs that the weights were trained on have terms of their own"


def export(network: nn.Module, recipe: Recipe, about: dict[str, Any]) -> bytes:
    """A safetensors file of the network in float16, with what a reader must know in its metadata.

    ``about`` has training_data_sha256, training_photos, training_steps, metrics and licenses.
    """
    tensors = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    metadata = {
        "name": recipe.name,
        "architecture": recipe.architecture,
        "config": recipe.config,
        "side": recipe.nominal_side,
        "license": LICENSE,
    } | about
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    return safetensors.torch.save(tensors, text)


def load_into(network: nn.Module, weights: bytes, source: str) -> None:
    """Fill a network with a safetensors file's tensors. Raises TrainingError naming ``source`` if they do not fit."""
    try:
        network.load_state_dict(safetensors.torch.load(weights))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise TrainingError(
            f"the weights of {source} do not fit this network ({reason}); give --init weights of the recipe's "
            "architecture and config"
        ) from error
