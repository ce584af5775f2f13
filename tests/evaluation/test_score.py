from __future__ import annotations

import numpy as np
import pytest
from skimage import data
from skimage.color import deltaE_ciede2000, rgb2lab

from colorize_core.evaluation.protocol import compose, to_lab
from colorize_core.evaluation.rarity import Rarity
from colorize_core.evaluation.score import FIGURES, Truth, edge_band, score

EVEN = Rarity(np.stack(np.meshgrid(np.arange(-120, 121, 10), np.arange(-120, 121, 10)), -1).reshape(-1, 2))
CAT = np.ascontiguousarray(data.cat()[60:156, 120:216])


def colored(ab: tuple[float, float], lightness: float = 60) -> np.ndarray:
    return compose(np.full((32, 32), lightness, np.float32), np.broadcast_to(np.float32(ab), (32, 32, 2)))


def test_the_truth_itself_has_no_error():
    figures = score(CAT, Truth.of(CAT, EVEN))
    assert tuple(figures) == FIGURES
    assert figures["psnr"] == figures["psnr_ab"] == float("inf")
    assert figures["delta_e2000"] == figures["edge_delta_e2000"] == 0
    assert figures["auc"] == figures["auc_rebalanced"] == figures["accuracy"] == 1
    assert figures["ssim"] == pytest.approx(1, abs=1e-6)


def test_figures_are_what_their_definitions_say():
    guess = np.roll(CAT, 5, 1)
    figures = score(guess, Truth.of(CAT, EVEN))
    made, true = rgb2lab(guess), rgb2lab(CAT)
    assert figures["delta_e2000"] == pytest.approx(deltaE_ciede2000(true, made).mean(), abs=1e-3)
    assert figures["psnr_ab"] == pytest.approx(10 * np.log10(255**2 / ((made - true)[..., 1:] ** 2).mean()), abs=0.01)
    steps = np.array([2.55, 1, 1])
    mse = ((np.rint(made * steps) - np.rint(true * steps)) ** 2).mean()
    assert figures["accuracy"] == pytest.approx(1 - mse / 7500, abs=1e-3)
    error = np.hypot(*np.moveaxis((made - true)[..., 1:], -1, 0))
    thresholds = np.linspace(0, 150, 3001)
    swept = np.trapezoid([(error <= t).mean() for t in thresholds], thresholds) / 150
    assert figures["auc"] == pytest.approx(swept, abs=1e-3)


def test_an_even_error_of_thirty_units_leaves_four_fifths_of_the_area():
    figures = score(colored((30, 0)), Truth.of(colored((0, 0)), EVEN))
    assert figures["auc"] == pytest.approx(0.8, abs=0.01)
    assert figures["psnr_ab"] == pytest.approx(10 * np.log10(255**2 / 450), abs=0.2)


def test_rare_colors_count_as_much_as_common_ones_when_rebalanced():
    truth = np.concatenate([colored((0, 0))] * 9 + [colored((40, 40))])
    rarity = Rarity(to_lab(truth)[..., 1:].reshape(-1, 2))
    figures = score(np.concatenate([colored((0, 0))] * 10), Truth.of(truth, rarity))
    missed = np.hypot(40, 40) / 150
    assert figures["auc"] == pytest.approx(1 - 0.1 * missed, abs=0.01)
    assert figures["auc_rebalanced"] == pytest.approx(1 - 0.5 * missed, abs=0.02)


def test_colors_wrong_beside_an_edge_show_in_the_edge_band():
    lightness = np.full((64, 64), 70, np.float32)
    lightness[:, :32] = 30
    truth = Truth.of(compose(lightness, np.zeros((64, 64, 2), np.float32)), EVEN)
    assert 0.03 < truth.edges.mean() < 0.1 and truth.edges[:, 30:34].all()
    bleeding = np.zeros((64, 64, 2), np.float32)
    bleeding[:, 30:34] = 30
    figures = score(compose(lightness, bleeding), truth)
    assert figures["edge_delta_e2000"] > 10 * figures["delta_e2000"] > 10


def test_a_picture_without_edges_counts_as_a_whole():
    assert edge_band(np.full((16, 16), 50, np.float32)).all()
