from __future__ import annotations

import pytest
import torch

from colorize_core.models import build
from colorize_core.models.cost import gflops


@pytest.mark.parametrize(("architecture", "gmacs"), [("gray2lab", 0.20), ("beta", 7.6), ("colornet", 48.1)])
def test_two_operations_for_each_multiply_add_counted_by_hand(architecture, gmacs):
    assert gflops(build(architecture, {}), 256) == pytest.approx(2 * gmacs, rel=0.005)


def test_the_linear_baseline_to_the_last_operation():
    assert gflops(build("linear", {}), 32) * 1e9 == 2 * (1 * 2 + 2 * 3 + 3 * 3) * 32 * 32


def test_the_classifier_counts_and_the_network_is_left_alone():
    network = build("inception-fusion", {"classifier": "efficientnet-lite0"}).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    own = 9.77  # the layers alone, at 256 x 256
    assert gflops(network, 256) / 2 == pytest.approx(own + 0.39, abs=0.02)
    assert network.training and not network.classifier.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
