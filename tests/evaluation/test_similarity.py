from __future__ import annotations

import numpy as np
import pytest
from skimage import data
from skimage.metrics import structural_similarity

from colorize_core.evaluation.similarity import ssim

CAT = np.ascontiguousarray(data.cat()[50:170, 100:240])


@pytest.mark.parametrize("strength", [4, 30, 90])
def test_agrees_with_scikit_image(strength):
    noise = np.random.default_rng(strength).normal(0, strength, CAT.shape)
    noisy = (CAT + noise).clip(0, 255).astype(np.uint8)
    expected = structural_similarity(CAT, noisy, channel_axis=-1, data_range=255, gaussian_weights=True, sigma=1.5,
                                     use_sample_covariance=False)  # fmt: skip
    assert ssim(noisy, CAT) == pytest.approx(expected, abs=1e-4)


def test_a_picture_is_like_itself():
    assert ssim(CAT, CAT) == pytest.approx(1, abs=1e-6)


def test_a_picture_smaller_than_the_window_is_named():
    with pytest.raises(ValueError, match="11 x 11 pixels, got 20 x 10"):
        ssim(CAT[:10, :20], CAT[:10, :20])
