from __future__ import annotations

import numpy as np
import pytest
from judged import jpeg
from skimage import data

from colorize_core.evaluation.protocol import Protocol, compose, resize, to_lab
from colorize_core.training.data import DatasetError

COFFEE = np.ascontiguousarray(data.coffee()[100:300, 150:350])


def test_the_true_colors_give_the_true_picture():
    lab = to_lab(COFFEE)
    off = np.abs(compose(lab[..., 0], lab[..., 1:]).astype(int) - COFFEE)
    assert (off <= 1).mean() > 0.995


def test_no_color_gives_gray():
    gray = compose(to_lab(COFFEE)[..., 0], np.zeros((200, 200, 2), np.float32))
    assert np.ptp(gray, axis=-1).max() <= 1


@pytest.mark.parametrize("ab", [(90, 60), (-90, 30), (10, -110)])
def test_impossible_colors_keep_their_lightness(ab):
    lightness = np.linspace(2, 98, 64, dtype=np.float32).repeat(64).reshape(64, 64)
    wild = compose(lightness, np.broadcast_to(np.float32(ab), (64, 64, 2)))
    assert np.abs(to_lab(wild)[..., 0] - lightness).max() < 1
    assert np.ptp(wild, axis=-1).max() > 60  # colored all the same


def test_colors_that_are_no_numbers_are_refused():
    ab = np.zeros((8, 8, 2), np.float32)
    ab[3, 4] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        compose(np.full((8, 8), 50, np.float32), ab)


def test_center_crop_cuts_what_direct_resize_squeezes():
    wide = np.full((64, 192, 3), 120, np.uint8)
    wide[:, :64] = (220, 30, 30)
    cropped = Protocol("center-crop", 64).picture(jpeg(wide))
    squeezed = Protocol("direct-resize", 64).picture(jpeg(wide))
    assert cropped.shape == squeezed.shape == (64, 64, 3)
    assert np.ptp(cropped[:, 2:].astype(int), axis=-1).max() < 12
    assert np.ptp(squeezed[:, :18].astype(int), axis=-1).min() > 100


def test_a_photograph_stored_too_small_is_known():
    stored = jpeg(np.full((100, 256, 3), 90, np.uint8))
    assert Protocol(side=128).enlarges(stored) and not Protocol(side=100).enlarges(stored)
    with pytest.raises(DatasetError, match="photograph abc"):
        Protocol().enlarges(b"no picture", "abc")


def test_resizing_to_the_same_side_changes_nothing():
    plane = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    assert resize(plane, 32, 1) is plane
    assert resize(plane, 8, 1).mean() == pytest.approx(plane.mean(), abs=1e-6)
