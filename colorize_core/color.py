"""sRGB and CIELAB (D65, 2 degree observer), the sRGB gamut in Lab, and the tone of a photograph.

The formulas are those of IEC 61966-2-1 (sRGB) and CIE 15 (CIELAB). Conversions take NumPy arrays or torch tensors
and give back the same kind; the two agree with each other and with scikit-image to 1e-3 in Lab units.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")

WHITE_D65 = (0.95047, 1.0, 1.08883)
XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
RGB_FROM_XYZ = tuple(map(tuple, np.linalg.inv(np.array(XYZ_FROM_RGB))))


def _namespace(x):
    """NumPy for arrays, torch for tensors; processes that only handle pixels never load torch."""
    if isinstance(x, np.ndarray | np.generic):
        return np
    import torch

    return torch


def _split(x: Array, axis: int) -> tuple[Array, Array, Array]:
    if x.shape[axis] != 3:
        raise ValueError(f"expected 3 channels on axis {axis}, got shape {tuple(x.shape)}")
    first, second, third = _namespace(x).moveaxis(x, axis, 0)
    return first, second, third


def _combine(matrix, channels) -> list:
    return [row[0] * channels[0] + row[1] * channels[1] + row[2] * channels[2] for row in matrix]


def srgb_to_linear(x: Array) -> Array:
    """Undo the sRGB transfer curve; any shape, 0..1 in and out."""
    xp = _namespace(x)
    return xp.where(x <= 0.04045, x / 12.92, ((xp.clip(x, 0, None) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(x: Array) -> Array:
    """Apply the sRGB transfer curve; any shape, 0..1 in and out. Negative light gives a negative code."""
    xp = _namespace(x)
    return xp.where(x <= 0.0031308, x * 12.92, 1.055 * xp.clip(x, 0.0031308, None) ** (1 / 2.4) - 0.055)


def srgb_to_lab(rgb: Array, axis: int = -1) -> Array:
    """sRGB in 0..1 to Lab: L in 0..100, a and b within about -108..99. The three channels lie on ``axis``."""
    xp = _namespace(rgb)
    xyz = _combine(XYZ_FROM_RGB, [srgb_to_linear(c) for c in _split(rgb, axis)])
    f = []
    for value, white in zip(xyz, WHITE_D65, strict=True):
        t = value / white
        f.append(xp.where(t > 0.008856, xp.clip(t, 1e-9, None) ** (1 / 3), 7.787 * t + 16 / 116))
    return xp.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])], axis)


def lightness_to_luminance(lightness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CIELAB's f and the luminance Y, 0..1, of L in 0..100: two float32 arrays."""
    f = (lightness.astype(np.float64) + 16) / 116
    return f.astype(np.float32), np.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787).astype(np.float32)


def lab_to_linear(lab: Array, axis: int = -1) -> Array:
    """Lab to linear sRGB light, not clipped: colors outside the gamut leave 0..1."""
    xp = _namespace(lab)
    lightness, a, b = _split(lab, axis)
    fy = (lightness + 16) / 116
    xyz = []
    for f, white in zip((fy + a / 500, fy, fy - b / 200), WHITE_D65, strict=True):
        xyz.append(xp.where(f > 0.2068966, f * f * f, (f - 16 / 116) / 7.787) * white)
    return xp.stack(_combine(RGB_FROM_XYZ, xyz), axis)


def lab_to_srgb(lab: Array, axis: int = -1) -> Array:
    """Lab to sRGB in 0..1, clipped; map the colors into the gamut first to keep their lightness."""
    xp = _namespace(lab)
    return linear_to_srgb(xp.clip(lab_to_linear(lab, axis), 0, 1))


def gray_to_lightness(gray: Array) -> Array:
    """L in 0..100 of a neutral sRGB code in 0..1."""
    xp = _namespace(gray)
    y = srgb_to_linear(gray)
    return xp.where(y > 0.008856, 116 * xp.clip(y, 1e-9, None) ** (1 / 3) - 16, 903.292 * y)


def delta_e2000(lab_a: Array, lab_b: Array, axis: int = -1) -> Array:
    """CIEDE2000 color difference of two Lab arrays of one shape, 0 or more; ``axis`` holds the channels and is gone.

    All weighting factors are 1. The formula is that of Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula:
    implementation notes, supplementary test data, and mathematical observations", 2005. Not meant for gradients, which
    are undefined where a color is gray.
    """
    xp = _namespace(lab_a)
    (l1, a1, b1), (l2, a2, b2) = _split(lab_a, axis), _split(lab_b, axis)
    turn = 2 * np.pi

    def saturation(chroma):
        power = chroma**7
        return xp.sqrt(power / (power + 25.0**7))

    stretch = 1.5 - 0.5 * saturation((xp.hypot(a1, b1) + xp.hypot(a2, b2)) / 2)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = xp.hypot(a1, b1), xp.hypot(a2, b2)
    h1, h2 = xp.arctan2(b1, a1) % turn, xp.arctan2(b2, a2) % turn
    arc = h2 - h1
    arc = xp.where(arc > np.pi, arc - turn, xp.where(arc < -np.pi, arc + turn, arc))
    hue = (h1 + arc / 2) % turn
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    across = 2 * xp.sqrt(c1 * c2) * xp.sin(arc / 2)  # 0 where one is gray: its hue, then, does not matter
    t = (
        1
        - 0.17 * xp.cos(hue - np.pi / 6)
        + 0.24 * xp.cos(2 * hue)
        + 0.32 * xp.cos(3 * hue + np.pi / 30)
        - 0.20 * xp.cos(4 * hue - 63 * np.pi / 180)
    )
    turned = 60 * np.pi / 180 * xp.exp(-(((hue * (180 / np.pi) - 275) / 25) ** 2))
    off = (lightness - 50) ** 2
    dl = (l2 - l1) / (1 + 0.015 * off / xp.sqrt(20 + off))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = across / (1 + 0.015 * chroma * t)
    squared = dl**2 + dc**2 + dh**2 - 2 * xp.sin(turned) * saturation(chroma) * dc * dh
    return xp.sqrt(xp.clip(squared, 0, None))


class Tone(StrEnum):
    """What the colors of a scan say it is a scan of."""

    NEUTRAL = "neutral"  # gray, or gray but for a faint cast
    TONED = "toned"  # one color that follows lightness: sepia, selenium, cyanotype, yellowed paper
    COLOR = "color"  # a color photograph


NEUTRAL_CHROMA = 4.0  # 95th percentile of chroma up to which a scan is neutral
FAINT_CHROMA = 9.0  # and up to which it has no more than a faint cast
TONED_SPREAD = 2.2  # how far ab may stray from the curve it draws over lightness, and the print still be toned
FAINT_SPREAD = 2.7  # the same for a faint cast, which lamps and lenses make uneven


def classify_tone(lab: np.ndarray) -> Tone:
    """The tone of a photograph from a small Lab copy of it, (h, w, 3).

    On a toned print ab is a function of lightness, stains aside. So ab is fitted by its mean in bands of lightness;
    what is left, the root mean square distance to that curve over the best-fitting nine tenths of the pixels, tells a
    toned print from a color photograph. The limits call 2.6 % of modern color photographs toned, those of one dull
    hue; an archive that holds such keeps them in a folder of its own.
    """
    lightness, ab = lab[..., 0].ravel(), lab[..., 1:].reshape(-1, 2)
    chroma = np.percentile(np.hypot(ab[:, 0], ab[:, 1]), 95)
    if chroma <= NEUTRAL_CHROMA:
        return Tone.NEUTRAL
    band = np.clip((lightness / 100 * 12).astype(np.int64), 0, 11)
    count = np.maximum(np.bincount(band, minlength=12), 1)
    curve = np.stack([np.bincount(band, ab[:, i], minlength=12) / count for i in (0, 1)], -1)
    squared = np.sort(np.sum((ab - curve[band]) ** 2, -1))
    spread = np.sqrt(squared[: max(1, int(len(squared) * 0.9))].mean())
    return Tone.TONED if spread <= (FAINT_SPREAD if chroma <= FAINT_CHROMA else TONED_SPREAD) else Tone.COLOR


GAMUT_LIGHTNESS = 401  # grid points over L 0..100
GAMUT_HUES = 360  # grid points over the circle


@cache
def gamut_chroma() -> np.ndarray:
    """The largest chroma inside sRGB for every cell of lightness and hue: float32 (400, 360).

    Row i covers L from i/4 to (i+1)/4, column j hue angles from j to j+1 degrees. A cell holds the least of its four
    corners, so a color within the limit is in the gamut.
    """
    lightness = np.linspace(0, 100, GAMUT_LIGHTNESS)[:, None]
    hue = np.linspace(0, 2 * np.pi, GAMUT_HUES + 1)[None, :]
    low, high = np.zeros((GAMUT_LIGHTNESS, GAMUT_HUES + 1)), np.full((GAMUT_LIGHTNESS, GAMUT_HUES + 1), 140.0)
    for _ in range(16):
        middle = (low + high) / 2
        lab = np.stack(np.broadcast_arrays(lightness, middle * np.cos(hue), middle * np.sin(hue)), -1)
        linear = lab_to_linear(lab)
        inside = (linear >= -1e-6).all(-1) & (linear <= 1 + 1e-6).all(-1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return np.minimum.reduce([low[:-1, :-1], low[1:, :-1], low[:-1, 1:], low[1:, 1:]]).astype(np.float32)


@cache
def safe_chroma() -> np.ndarray:
    """The chroma that is inside sRGB at every hue, for the rows of ``gamut_chroma``: float32 (400,)."""
    return gamut_chroma().min(1)


def gamut_row(lightness: np.ndarray) -> np.ndarray:
    """The row of ``gamut_chroma`` that holds each lightness."""
    return np.clip((lightness * (GAMUT_LIGHTNESS - 1) / 100).astype(np.int32), 0, GAMUT_LIGHTNESS - 2)


def chroma_scale(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The factor in 0..1 that brings each color into sRGB by chroma alone, at constant lightness and hue.

    Flat arrays of one length; 1 where the color is in the gamut already.
    """
    hue = np.arctan2(b, a) * (GAMUT_HUES / (2 * np.pi))
    column = np.floor(hue).astype(np.int32) % GAMUT_HUES
    limit = gamut_chroma()[gamut_row(lightness), column]
    return np.minimum(1, limit / np.maximum(np.hypot(a, b), 1e-6))
