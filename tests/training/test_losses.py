from __future__ import annotations

import pytest
import torch
from torch import nn

from colorize_core.color import srgb_to_lab
from colorize_core.models.autochrome import ab_bins
from colorize_core.training.losses import LabMeanSquaredError, MeanSquaredError, RebalancedColor, make_loss, prior


class Answers(nn.Module):
    """A network that gives the answers it was made with."""

    def __init__(self, logits=None, regressed=None, lab=None):
        super().__init__()
        self.answers = logits, regressed
        self.full = lab

    def heads(self, lightness):
        return self.answers

    def lab(self, lightness):
        return self.full

    def forward(self, lightness):
        return self.full[:, 1:], torch.zeros(1)


def test_bins_cover_srgb():
    bins = ab_bins(10.0)
    assert 230 <= len(bins) <= 290  # an exhaustive count over 16.7 million colors gives 261
    assert torch.cdist(srgb_to_lab(torch.rand(3000, 3))[:, 1:], bins).min(1).values.max() < 10


def test_rare_colors_weigh_more_and_the_expected_weight_is_one():
    bins = ab_bins(30.0)
    share = torch.full((len(bins),), 0.1 / (len(bins) - 1))
    share[3] = 0.9
    loss = RebalancedColor(bins, share)
    assert loss.weights[3] < loss.weights[0]
    assert (loss.weights * share).sum().item() == pytest.approx(1)


def test_the_right_answer_costs_less():
    bins = ab_bins(30.0)
    loss = RebalancedColor(bins, torch.full((len(bins),), 1 / len(bins)))
    ab = bins[5].view(1, 2, 1, 1).expand(1, 2, 16, 16)
    right, lightness, small = torch.zeros(1, len(bins), 4, 4), torch.zeros(1, 1, 16, 16), ab[:, :, :4, :4]
    right[:, 5] = 10
    best = loss(Answers(right, small), lightness, ab)
    assert best < loss(Answers(right.roll(7, 1), small), lightness, ab)
    assert best < loss(Answers(right, small + 40), lightness, ab)


def test_the_prior_counts_the_nearest_bins():
    bins = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    assert prior(torch.tensor([[1.0, 1.0], [2.0, 0.0], [40.0, 3.0], [0.0, 0.0]]), bins).tolist() == [0.75, 0.25]


def test_squared_errors_of_ab_and_of_all_of_lab():
    lightness, ab = torch.full((1, 1, 4, 4), 60.0), torch.zeros(1, 2, 4, 4)
    off = torch.cat([lightness + 11, ab + 22], 1)
    assert MeanSquaredError()(Answers(lab=off), lightness, ab).item() == pytest.approx(0.04)
    assert LabMeanSquaredError()(Answers(lab=off), lightness, ab).item() == pytest.approx((0.01 + 0.04 + 0.04) / 3)


def test_a_loss_that_needs_bins_takes_them_from_the_network():
    network = nn.Module()
    network.register_buffer("bins", ab_bins(30.0))
    assert torch.equal(make_loss("rebalanced", network, lambda: torch.zeros(10, 2)).bins, network.bins)
    assert isinstance(make_loss("mse", nn.Module(), lambda: torch.zeros(10, 2)), MeanSquaredError)
