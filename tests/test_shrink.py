from __future__ import annotations

import cv2
import numpy as np
import pytest

from colorize_core.inputs import Input
from colorize_core.shrink import area_average, average_lightness, shrink


@pytest.mark.parametrize(
    ("photo", "size"),
    [((3000, 3000), (256, 256)), ((4000, 3000), (288, 224)), ((3000, 4000), (224, 288)), ((1, 1), (256, 256))],
)
def test_inputs_have_the_photo_s_shape(photo, size):
    assert Input(256).size(*photo) == size


@pytest.mark.parametrize("photo", [(100_000, 10), (10, 100_000), (65_000, 1)])
def test_panoramas_stay_bounded(photo):
    width, height = Input(256).size(*photo)
    assert min(width, height) == 32 and max(width, height) == 1024


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(500, 700), (3, 5), (40, 900)])
def test_lightness_survives(dtype, shape):
    top = np.iinfo(dtype).max
    lut = np.linspace(0, 100, top + 1, dtype=np.float32)
    codes = np.full(shape, top // 2, dtype)
    small = shrink(codes, lut, *Input(256).size(shape[1], shape[0]))
    assert small.shape == Input(256).size(shape[1], shape[0])[::-1]
    assert small.dtype == np.float32 and np.allclose(small, lut[top // 2])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_areas_are_averaged_as_by_opencv_and_not_rounded(dtype):
    codes = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (517, 733, 3)).astype(dtype)
    made = area_average(codes, 96, 64)
    reference = cv2.resize(codes.astype(np.float32), (96, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(made, reference, rtol=1e-4)
    lut = np.sqrt(np.linspace(0, 1, np.iinfo(dtype).max + 1, dtype=np.float32)) * 100
    between = np.interp(made[..., 0], np.arange(len(lut)), lut)
    np.testing.assert_allclose(average_lightness(codes[..., 0], lut, 96, 64), between, atol=1e-3)
