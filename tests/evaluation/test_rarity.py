from __future__ import annotations

import numpy as np
import pytest

from colorize_core.evaluation.rarity import RAREST, Rarity

GRAY, RED, BLUE = [0.0, 0.0], [60.0, 40.0], [20.0, -80.0]


def test_a_color_ten_times_as_rare_weighs_ten_times_as_much():
    weights = Rarity(np.repeat([GRAY, RED], [1000, 100], 0)).weigh(np.array([[GRAY, RED]]))
    assert weights.shape == (1, 2)
    assert weights[0, 1] / weights[0, 0] == pytest.approx(10, rel=1e-3)


def test_a_color_never_seen_weighs_as_the_rarest_may():
    assert Rarity(np.array([GRAY])).weigh(np.array(BLUE)) == pytest.approx(1 / RAREST)


def test_a_neighbor_of_a_common_color_is_less_rare_than_a_stranger():
    rarity = Rarity(np.repeat([GRAY, RED], [1000, 1000], 0))
    assert rarity.weigh(np.array([10.0, 0.0])) < rarity.weigh(np.array([0.0, 40.0]))


def test_colors_beyond_the_bins_are_taken_for_the_outermost():
    rarity = Rarity(np.repeat([[120.0, 0.0]], 10, 0))
    assert rarity.weigh(np.array([500.0, 0.0])) == rarity.weigh(np.array([120.0, 0.0])) < 1 / RAREST
