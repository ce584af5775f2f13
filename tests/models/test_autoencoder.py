from __future__ import annotations

import pytest
import torch

from colorize_core.models import build


@pytest.mark.parametrize("architecture", ["autoencoder", "linear"])
def test_whole_lab_is_predicted_and_ab_is_its_part(architecture):
    torch.manual_seed(0)
    network = build(architecture, {})
    lightness = torch.rand(2, 1, 37, 51) * 100
    lab = network.lab(lightness)
    assert lab.shape == (2, 3, 37, 51)
    assert torch.equal(network(lightness), lab[:, 1:])


def test_units_are_those_of_lab():
    """Weights that copy lightness through give back L, and ab in steps of 128."""
    network = build("linear", {})
    with torch.no_grad():
        for layer in network.layers:
            layer.weight.zero_()
            layer.weight[0, 0] = 1
            layer.bias.zero_()
        network.layers[-1].bias.copy_(torch.tensor([0, 0.25, -0.5]))
    lightness = torch.linspace(0, 100, 64).view(1, 1, 8, 8)
    lab = network.lab(lightness)
    assert torch.allclose(lab[:, :1], lightness)
    assert (lab[:, 1] == 32).all() and (lab[:, 2] == -64).all()


def test_the_baseline_is_a_straight_line():
    torch.manual_seed(1)
    network = build("linear", {})
    lab = network.lab(torch.tensor([0.0, 25.0, 50.0, 100.0]).view(1, 1, 2, 2)).flatten(2)[0]
    assert torch.allclose(lab[:, 1] - lab[:, 0], lab[:, 2] - lab[:, 1], atol=1e-4)
    assert torch.allclose(lab[:, 3] - lab[:, 2], 2 * (lab[:, 2] - lab[:, 1]), atol=1e-4)
