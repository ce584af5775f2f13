from __future__ import annotations

import re

import numba
import numpy as np
import pytest

from colorize_core import kernels

RNG = np.random.default_rng(3)


def test_loops_are_compiled_where_there_is_no_folder_to_keep_them_in(monkeypatch):
    njit = numba.njit

    def without_a_folder(*signatures, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function")
        return njit(*signatures, **options)

    monkeypatch.setattr(numba, "njit", without_a_folder)
    assert kernels.compiled(numba.int64(numba.int64))(lambda number: 2 * number)(21) == 42


def test_markers_are_found_where_a_regular_expression_finds_them():
    data = RNG.choice(np.array([0, 0x12, 0xC0, 0xD0, 0xD7, 0xD9, 0xFF], np.uint8), 4000)
    found = [match.start(1) for match in re.finditer(rb"\xff+([^\x00\xff\xd0-\xd7])", data.tobytes(), re.DOTALL)]
    assert len(found) > 100
    at = 0
    for place in found:
        assert (at := kernels.next_jpeg_marker(data, at)) == place
    assert kernels.next_jpeg_marker(data[: found[-1]], found[-2] + 1) == -1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_pixel_is_enough_not_to_be_neutral(dtype):
    gray = np.repeat(RNG.integers(0, 200, (30, 40, 1)), 3, 2).astype(dtype)
    assert kernels.is_neutral(gray)
    for channel in range(3):
        other = gray.copy()
        other[29, 39, channel] += 1
        assert not kernels.is_neutral(other)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_channels_are_weighed_and_looked_up_within_the_table(dtype):
    top = np.iinfo(dtype).max
    samples = RNG.integers(0, top + 1, (20, 33, 3)).astype(dtype)
    shares = RNG.integers(-40, 80, (3, top + 1)).astype(np.int32)
    table = RNG.permutation(128).astype(np.uint16)
    out = np.empty(samples.shape[:2], np.uint16)
    kernels.weigh_channels(samples, shares, table, out)
    total = sum(shares[channel][samples[..., channel]] for channel in range(3))
    assert total.min() < 0 and total.max() > 127
    np.testing.assert_array_equal(out, table[np.clip(total, 0, 127)])
