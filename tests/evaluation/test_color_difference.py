from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000

from colorize_core.color import delta_e2000

PUBLISHED = [  # of the 34 pairs of Sharma, Wu and Dalal 2005
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("one", "other", "difference"), PUBLISHED)
def test_published_pairs(one, other, difference):
    one, other = np.array(one, float), np.array(other, float)
    assert delta_e2000(one, other) == pytest.approx(difference, abs=5e-5)
    assert delta_e2000(other, one) == pytest.approx(difference, abs=5e-5)


def pairs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    one = rng.uniform([0, -100, -100], [100, 100, 100], (5000, 3))
    other = one + rng.normal(0, [10, 20, 20], one.shape)
    one[:100, 1:] = 0
    other[50:150, 1:] = 0
    return one, other


def test_agrees_with_scikit_image_in_either_precision():
    one, other = pairs()
    expected = deltaE_ciede2000(one, other)
    assert np.abs(delta_e2000(one, other) - expected).max() < 1e-9
    assert np.abs(delta_e2000(one.astype(np.float32), other.astype(np.float32)) - expected).max() < 1e-3


def test_torch_agrees_with_numpy_on_any_axis():
    one, other = pairs()
    found = delta_e2000(torch.from_numpy(one).T[None], torch.from_numpy(other).T[None], axis=1)
    assert found.shape == (1, 5000)
    assert np.abs(found[0].numpy() - delta_e2000(one, other)).max() < 1e-9


def test_equal_colors_differ_by_nothing():
    one, _ = pairs()
    assert not delta_e2000(one, one).any()
