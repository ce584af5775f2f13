from __future__ import annotations

import torch

from colorize_core import color
from colorize_core.models import build
from colorize_core.models.layers import gray


def entering(network: torch.nn.Module, lightness: torch.Tensor) -> torch.Tensor:
    """What the first layer is given."""
    seen = []
    handle = network.down[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network.eval()(lightness)
    handle.remove()
    return seen[0]


def test_gray_is_the_srgb_code_of_lightness():
    ramp = torch.linspace(0, 1, 256, dtype=torch.float64).view(1, 1, 16, 16)
    assert (gray(color.gray_to_lightness(ramp)) - ramp).abs().max() < 1e-4


def test_the_variants_read_lightness_or_gray_over_the_whole_range():
    lightness = torch.linspace(0, 100, 256).view(1, 1, 16, 16)
    assert torch.allclose(entering(build("colornet", {}), lightness), lightness / 100)
    assert torch.allclose(entering(build("colornet", {"variant": "gray"}), lightness), gray(lightness))
