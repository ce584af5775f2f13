"""A small ICC profile for an idealized CMYK press, made in code because none may be shipped with a free license.

The press is simple: each ink removes its share of linear-coded sRGB light and black removes the rest. The profile is
version 2, ``prtr`` class, CMYK to Lab (A2B0) and back (B2A0) as 16-bit tables; Little CMS takes it both ways.
"""

from __future__ import annotations

import struct
from functools import cache

import numpy as np

_WHITE_D50 = np.array([0.9642, 1.0, 0.8249])
_XYZ_D50_FROM_SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)


def _lab_from_srgb(rgb: np.ndarray) -> np.ndarray:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _XYZ_D50_FROM_SRGB.T / _WHITE_D50
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])],
        axis=-1,
    )


def _srgb_from_lab(lab: np.ndarray) -> np.ndarray:
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, (116 * f - 16) * 27 / 24389) * _WHITE_D50
    linear = np.clip(xyz @ np.linalg.inv(_XYZ_D50_FROM_SRGB).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _lut16(table: np.ndarray) -> bytes:
    """An ICC ``lut16Type``: identity matrix and curves around a table of shape (n, ..., n, outputs), 0..65535."""
    inputs, outputs, size = table.ndim - 1, table.shape[-1], table.shape[0]
    identity = (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x10000)
    head = struct.pack(">4s4xBBBx9i2H", b"mft2", inputs, outputs, size, *identity, 2, 2)
    curve = struct.pack(">2H", 0, 65535)
    return head + curve * inputs + np.rint(table).astype(">u2").tobytes() + curve * outputs


def _grid(size: int, channels: int) -> np.ndarray:
    return np.stack(np.meshgrid(*[np.linspace(0, 1, size)] * channels, indexing="ij"), axis=-1)


def _cmyk_to_lab() -> bytes:
    inks = _grid(7, 4)
    lab = _lab_from_srgb((1 - inks[..., :3]) * (1 - inks[..., 3:]))
    # Version 2 codes L from 0 to 0xFF00, and a and b with 0x8000 as zero.
    codes = np.concatenate([lab[..., :1] * (0xFF00 / 100), (lab[..., 1:] + 128) * 256], axis=-1)
    return _lut16(np.clip(codes, 0, 65535))


def _lab_to_cmyk() -> bytes:
    codes = _grid(17, 3) * 65535
    lab = np.concatenate([codes[..., :1] * (100 / 0xFF00), codes[..., 1:] / 256 - 128], axis=-1)
    light = _srgb_from_lab(lab)
    brightest = light.max(axis=-1, keepdims=True)
    black = 1 - brightest
    inks = 1 - np.divide(light, brightest, out=np.ones_like(light), where=brightest > 0)
    return _lut16(np.concatenate([inks, black], axis=-1) * 65535)


@cache
def cmyk_profile() -> bytes:
    """The profile, about 55 KB, the same bytes every time."""
    name = b"Autochrome demo CMYK\0"
    tags = {
        b"desc": struct.pack(">4s4xI", b"desc", len(name)) + name + bytes(78),
        b"cprt": b"text" + bytes(4) + b"CC0 1.0\0",
        b"wtpt": struct.pack(">4s4x3i", b"XYZ ", *(round(v * 65536) for v in _WHITE_D50)),
        b"A2B0": _cmyk_to_lab(),
        b"B2A0": _lab_to_cmyk(),
    }
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for signature, data in tags.items():
        table += struct.pack(">4sII", signature, offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    illuminant = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    created = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    header = struct.pack(">I4xI4s4s4s", offset + len(body), 0x02400000, b"prtr", b"CMYK", b"Lab ") + created + b"acsp"
    header += bytes(28) + illuminant
    return header + bytes(128 - len(header)) + table + body
