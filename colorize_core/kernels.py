"""Loops over pixels, compiled by Numba: what takes several passes over a picture in NumPy takes one here.

They are compiled once for a machine and kept beside this file, in the user's cache folder where that is read-only, or
in NUMBA_CACHE_DIR. Arrays are C-contiguous, inputs may be read-only, and nothing is checked: callers give what the
docstrings ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import float32, float64, int32, int64, types, uint8, uint16

LINEAR_BELOW = float32(0.2068966)  # of f in CIELAB, where its cube root gives way to a line
OFFSET, SLOPE = float32(16 / 116), float32(1 / 7.787)
SPARSE = 4  # one in so many pixels and rows tells how colorful a picture is
BLOCK = 256  # pixels of a row that are taken through all steps before the next ones
OUTSIDE = float32(2e-5)  # of linear light; less is rounding


OPTIONS: dict[str, Any] = {
    "fastmath": {"contract", "nnan", "ninf", "nsz", "arcp"},
    "error_model": "numpy",
    "nogil": True,
}
loop = numba.njit(**OPTIONS)


def compiled(*signatures: Any) -> Callable[[Callable], Callable]:
    """Compile for these signatures now, or take what an earlier process compiled."""

    def compile(function: Callable) -> Callable:
        try:
            return numba.njit(list(signatures), cache=True, **OPTIONS)(function)
        except RuntimeError:  # there is no folder to keep it in
            return numba.njit(list(signatures), **OPTIONS)(function)

    return compile


def _in(kind: Any, dimensions: int) -> types.Array:
    return types.Array(kind, dimensions, "C", readonly=True)


def _out(kind: Any, dimensions: int) -> types.Array:
    return types.Array(kind, dimensions, "C")


@loop
def _blend(rows, weights, out):
    first, second, third, fourth = weights[0], weights[1], weights[2], weights[3]
    for x in range(out.shape[0]):
        out[x] = first * rows[0][x] + second * rows[1][x] + third * rows[2][x] + fourth * rows[3][x]


@loop
def _look_up(codes, table, out):
    for x in range(out.shape[0]):
        out[x] = table[codes[x]]


@loop
def _to_linear(f, luminance, a, b, matrix, red, green, blue):
    """Lab to linear sRGB, not clipped; says how many pixels are outside."""
    m00, m01, m02 = matrix[0, 0], matrix[0, 1], matrix[0, 2]
    m10, m11, m12 = matrix[1, 0], matrix[1, 1], matrix[1, 2]
    m20, m21, m22 = matrix[2, 0], matrix[2, 1], matrix[2, 2]
    per_a, per_b = float32(1 / 500), float32(1 / 200)
    top, bottom = float32(1) + OUTSIDE, -OUTSIDE
    outside = 0
    for x in range(a.shape[0]):
        fx, y, fz = f[x] + a[x] * per_a, luminance[x], f[x] - b[x] * per_b
        x_light = fx * fx * fx if fx > LINEAR_BELOW else (fx - OFFSET) * SLOPE
        z_light = fz * fz * fz if fz > LINEAR_BELOW else (fz - OFFSET) * SLOPE
        red[x] = m00 * x_light + m01 * y + m02 * z_light
        green[x] = m10 * x_light + m11 * y + m12 * z_light
        blue[x] = m20 * x_light + m21 * y + m22 * z_light
    for x in range(a.shape[0]):
        high, low = max(max(red[x], green[x]), blue[x]), min(min(red[x], green[x]), blue[x])
        outside += (high > top) | (low < bottom)
    return outside


@loop
def _shrink_chroma(f, a, b, red, green, blue, gamut):
    """Bring the outside pixels to the chroma that ``gamut`` allows; their linear light is then out of date."""
    top, bottom = float32(1) + OUTSIDE, -OUTSIDE
    rows, columns = gamut.shape
    mapped = 0
    for x in range(a.shape[0]):
        high, low = max(max(red[x], green[x]), blue[x]), min(min(red[x], green[x]), blue[x])
        if high > top or low < bottom:
            row = min(max(int((f[x] * 116 - 16) * rows / 100), 0), rows - 1)
            column = int(np.floor(np.arctan2(b[x], a[x]) * float32(columns / (2 * np.pi))))
            limit = gamut[row, column + columns if column < 0 else min(column, columns - 1)]
            chroma = np.sqrt(a[x] * a[x] + b[x] * b[x])
            if chroma > limit:
                a[x] *= limit / chroma
                b[x] *= limit / chroma
                mapped += 1
    return mapped


@loop
def _encode_8(red, green, blue, curve, out):
    steps = float32(curve.shape[0] - 1)
    half, zero, one = float32(0.5), float32(0), float32(1)
    for x in range(out.shape[0] // 3):
        out[3 * x] = curve[np.uint32(min(max(red[x], zero), one) * steps + half)]
        out[3 * x + 1] = curve[np.uint32(min(max(green[x], zero), one) * steps + half)]
        out[3 * x + 2] = curve[np.uint32(min(max(blue[x], zero), one) * steps + half)]


@loop
def _encode_16(red, green, blue, curve, out):
    steps = float32(curve.shape[0] - 2)
    zero, one = float32(0), float32(1)
    for x in range(out.shape[0] // 3):
        for channel, light in enumerate((red[x], green[x], blue[x])):
            at = min(max(light, zero), one) * steps
            step = np.uint32(at)
            below = curve[step]
            out[3 * x + channel] = np.uint16(below + (curve[step + 1] - below) * (at - step) + float32(0.5))


@loop
def _block(codes, f_table, y_table, a_rows, b_rows, at, weights, matrix, gamut, x, room):
    """Linear sRGB of the pixels ``x`` of a row, in the last three of seven float32 rows of ``room``.

    Gives the pixels that were brought into the gamut.
    """
    size = codes[x].shape[0]
    f, luminance, a, b = room[0, :size], room[1, :size], room[2, :size], room[3, :size]
    red, green, blue = room[4, :size], room[5, :size], room[6, :size]
    _blend((a_rows[at[0], x], a_rows[at[1], x], a_rows[at[2], x], a_rows[at[3], x]), weights, a)
    _blend((b_rows[at[0], x], b_rows[at[1], x], b_rows[at[2], x], b_rows[at[3], x]), weights, b)
    _look_up(codes[x], f_table, f)
    _look_up(codes[x], y_table, luminance)
    if not _to_linear(f, luminance, a, b, matrix, red, green, blue):
        return 0
    mapped = _shrink_chroma(f, a, b, red, green, blue, gamut)
    _to_linear(f, luminance, a, b, matrix, red, green, blue)
    return mapped


_LAB = (_in(float32, 2), _in(float32, 2), _in(int32, 2), _in(float32, 2), _in(float32, 2), _in(float32, 2))


@compiled(
    int64(_in(uint8, 2), _in(float32, 1), _in(float32, 1), *_LAB, _in(uint8, 1), _out(uint8, 2)),
    int64(_in(uint16, 2), _in(float32, 1), _in(float32, 1), *_LAB, _in(uint8, 1), _out(uint8, 2)),
)
def lab_to_8_bits(codes, f_table, y_table, a_rows, b_rows, index, weights, matrix, gamut, curve, out):
    """Gray codes and small ab to color: the rows of ``out``, (n, 3 * W) uint8. Gives the pixels brought into the gamut.

    codes: (n, W) uint8 or uint16. f_table, y_table: CIELAB's f and the luminance, 0..1, of every code, float32.
    a_rows, b_rows: (h, W) float32. index, weights: (n, 4) int32 and float32, the rows of those that make up each row.
    matrix: (3, 3) float32, from XYZ relative to white to linear sRGB. gamut: (rows, columns) float32, the largest
    chroma at each lightness and hue. curve: uint8, the sRGB code of linear light 0..1 in even steps.
    """
    room, mapped = np.empty((7, BLOCK), np.float32), 0
    for y in range(codes.shape[0]):
        for left in range(0, codes.shape[1], BLOCK):
            x = slice(left, min(left + BLOCK, codes.shape[1]))
            mapped += _block(codes[y], f_table, y_table, a_rows, b_rows, index[y], weights[y], matrix, gamut, x, room)
            _encode_8(room[4], room[5], room[6], curve, out[y, 3 * x.start : 3 * x.stop])
    return mapped


@compiled(int64(_in(uint16, 2), _in(float32, 1), _in(float32, 1), *_LAB, _in(float32, 1), _out(uint16, 2)))
def lab_to_16_bits(codes, f_table, y_table, a_rows, b_rows, index, weights, matrix, gamut, curve, out):
    """``lab_to_8_bits`` for (n, 3 * W) uint16; ``curve`` is float32 in 0..65535 and its last step stands twice."""
    room, mapped = np.empty((7, BLOCK), np.float32), 0
    for y in range(codes.shape[0]):
        for left in range(0, codes.shape[1], BLOCK):
            x = slice(left, min(left + BLOCK, codes.shape[1]))
            mapped += _block(codes[y], f_table, y_table, a_rows, b_rows, index[y], weights[y], matrix, gamut, x, room)
            _encode_16(room[4], room[5], room[6], curve, out[y, 3 * x.start : 3 * x.stop])
    return mapped


@compiled(types.void(_in(uint8, 2), _out(float64, 1)), types.void(_in(uint16, 2), _out(float64, 1)))
def add_opponents(rgb, sums):
    """Add to ``sums`` those of |R-G|, |(R+G)/2-B| and of their squares, in codes, over every fourth pixel and row.

    rgb: (n, 3 * W) uint8 or uint16. sums: float64 (5,); the last is the number of pixels.
    """
    for y in range(0, rgb.shape[0], SPARSE):
        rg_sum = yb_sum = rg_square = yb_square = float32(0)
        for x in range(0, rgb.shape[1], 3 * SPARSE):
            r, g, b = float32(rgb[y, x]), float32(rgb[y, x + 1]), float32(rgb[y, x + 2])
            rg, yb = abs(r - g), abs(float32(0.5) * (r + g) - b)
            rg_sum, yb_sum = rg_sum + rg, yb_sum + yb
            rg_square, yb_square = rg_square + rg * rg, yb_square + yb * yb
            sums[4] += 1
        sums[0], sums[1] = sums[0] + rg_sum, sums[1] + yb_sum
        sums[2], sums[3] = sums[2] + rg_square, sums[3] + yb_square


_CODES = (uint8, uint16)


@compiled(*(types.void(_in(kind, 3), _out(float32, 3)) for kind in _CODES))
def shrink_area(samples, out):
    """Shrink (H, W, C) codes to the float32 (h, w, C) of ``out`` by averaging over the area of each of its pixels.

    h and w are at most H and W. Codes are not rounded.
    """
    height, width, channels = samples.shape
    flat = samples.reshape(height, width * channels)
    column = np.empty(width * channels, np.float32)
    down, across = height / out.shape[0], width / out.shape[1]
    share = float32(1 / (down * across))
    for y in range(out.shape[0]):
        top, bottom = y * down, min((y + 1) * down, height)
        column[:] = 0
        for row in range(int(top), min(int(np.ceil(bottom)), height)):
            weight = float32(min(row + 1, bottom) - max(row, top)) * share
            source = flat[row]
            for x in range(column.shape[0]):
                column[x] += weight * source[x]
        for x in range(out.shape[1]):
            left, right = x * across, min((x + 1) * across, width)
            for channel in range(channels):
                total = float32(0)
                for at in range(int(left), min(int(np.ceil(right)), width)):
                    total += float32(min(at + 1, right) - max(at, left)) * column[at * channels + channel]
                out[y, x, channel] = total


@compiled(*(types.boolean(_in(kind, 3)) for kind in _CODES))
def is_neutral(samples):
    """Whether the three channels of (n, W, 3) codes are equal everywhere."""
    for y in range(samples.shape[0]):
        different = 0
        for x in range(samples.shape[1]):
            r, g, b = samples[y, x, 0], samples[y, x, 1], samples[y, x, 2]
            different |= (r ^ g) | (r ^ b)
        if different:
            return False
    return True


@compiled(*(types.void(_in(kind, 3), _in(int32, 2), _in(uint16, 1), _out(uint16, 2)) for kind in _CODES))
def weigh_channels(samples, shares, table, out):
    """Look up in ``table`` the sum of what ``shares``, (3, codes), say of the channels of (n, W, 3) codes: (n, W)."""
    last = table.shape[0] - 1
    for y in range(samples.shape[0]):
        for x in range(samples.shape[1]):
            total = shares[0, samples[y, x, 0]] + shares[1, samples[y, x, 1]] + shares[2, samples[y, x, 2]]
            out[y, x] = table[min(max(total, 0), last)]


@compiled(int64(_in(uint8, 1), int64))
def next_jpeg_marker(data, start):
    """Where the code of the next JPEG marker is, from ``start`` on; -1 when there is none.

    Stuffed zeros, fill bytes and restart markers are passed over.
    """
    for at in range(start, data.shape[0] - 1):
        if data[at] == 0xFF:
            code = data[at + 1]
            if code != 0 and code != 0xFF and not 0xD0 <= code <= 0xD7:
                return at + 1
    return -1
