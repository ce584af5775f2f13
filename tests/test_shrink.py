from __future__ import annotations

import numpy as np
import pytest

from colorize_core.shrink import input_size, shrink


@pytest.mark.parametrize(
    ("photo", "size"),
    [((3000, 3000), (256, 256)), ((4000, 3000), (288, 224)), ((3000, 4000), (224, 288)), ((1, 1), (256, 256))],
)
def test_inputs_have_the_photo_s_shape(photo, size):
    assert input_size(*photo, side=256) == size


@pytest.mark.parametrize("photo", [(100_000, 10), (10, 100_000), (65_000, 1)])
def test_panoramas_stay_bounded(photo):
    width, height = input_size(*photo, side=256)
    assert min(width, height) == 32 and max(width, height) == 1024


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(500, 700), (3, 5), (40, 900)])
def test_lightness_survives(dtype, shape):
    top = np.iinfo(dtype).max
    lut = np.linspace(0, 100, top + 1, dtype=np.float32)
    codes = np.full(shape, top // 2, dtype)
    small = shrink(codes, lut, 256)
    assert small.shape == input_size(shape[1], shape[0], 256)[::-1]
    assert small.dtype == np.float32 and np.allclose(small, lut[top // 2])
