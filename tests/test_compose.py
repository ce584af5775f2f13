from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from skimage.color import rgb2lab

from colorize_core import color
from colorize_core.compose import Composition, cubic_taps
from colorize_core.hints import Hints
from colorize_core.photo import Header, Photo

RNG = np.random.default_rng(1)


def gray_photo(height: int, width: int, bits: int) -> Photo:
    top = 2**bits - 1
    noise = cv2.GaussianBlur(RNG.random((height, width)), (0, 0), 2)
    codes = cv2.normalize(noise, None, 0, top, cv2.NORM_MINMAX).astype(np.uint8 if bits == 8 else np.uint16)
    lut = color.gray_to_lightness(np.arange(top + 1) / top).astype(np.float32)
    return Photo(Header("TIFF", "L", bits, width, height), codes, lut, None, bits, None)


def smooth_ab(strength: float) -> np.ndarray:
    return cv2.resize(RNG.normal(0, strength, (6, 6, 2)).astype(np.float32), (64, 96), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("strength", [10, 60])
def test_lightness_is_kept_even_where_color_leaves_the_gamut(bits, strength):
    photo = gray_photo(700, 500, bits)
    composition = Composition(photo, smooth_ab(strength), bits)
    rgb = np.concatenate(list(composition))
    assert rgb.shape == (700, 500, 3) and rgb.dtype == (np.uint8 if bits == 8 else np.uint16)
    error = np.abs(rgb2lab(rgb / float(2**bits - 1))[..., 0] - photo.lightness(slice(None)))
    assert (error <= 1).mean() > 0.999
    assert (composition.gamut_mapped > 0.2) == (strength == 60)


def test_hue_is_kept_and_chroma_never_grows():
    photo, ab = gray_photo(400, 300, 16), smooth_ab(60)
    made = rgb2lab(np.concatenate(list(Composition(photo, ab, 16))) / 65535)
    asked = cv2.resize(ab, (300, 400), interpolation=cv2.INTER_CUBIC)
    chroma, wanted = np.hypot(*np.moveaxis(made[..., 1:], -1, 0)), np.hypot(*np.moveaxis(asked, -1, 0))
    turned = np.arctan2(made[..., 2], made[..., 1]) - np.arctan2(asked[..., 1], asked[..., 0])
    turned = np.abs((turned + np.pi) % (2 * np.pi) - np.pi)
    assert np.degrees(np.percentile(turned[chroma > 10], 99.5)) < 1.5
    assert (chroma - wanted).max() < 0.5


@pytest.mark.parametrize(("source", "target"), [(96, 700), (96, 97), (96, 96), (64, 40), (1, 9), (5, 1)])
def test_rows_are_interpolated_as_by_opencv(source, target):
    column = RNG.normal(size=(source, 3)).astype(np.float32)
    whole = cv2.resize(column, (3, target), interpolation=cv2.INTER_CUBIC)
    index, weights = cubic_taps(source, target)
    np.testing.assert_allclose(np.einsum("tk,tkc->tc", weights, column[index]), whole, atol=1e-4)


def test_strips_leave_no_seam(monkeypatch):
    photo, ab = gray_photo(333, 222, 8), smooth_ab(25)
    whole = np.concatenate(list(Composition(photo, ab, 8)))
    monkeypatch.setattr("colorize_core.compose.strip_rows", lambda width: 7)
    pieces = np.concatenate(list(Composition(photo, ab, 8)))
    np.testing.assert_array_equal(whole, pieces)


@pytest.mark.parametrize(("codes", "depth"), [(8, 8), (16, 8), (16, 16)])
def test_colors_are_those_of_the_formulas(codes, depth):
    photo, ab = gray_photo(160, 190, codes), smooth_ab(8)
    made = np.concatenate(list(Composition(photo, ab, depth)))
    lab = np.dstack([photo.lightness(), cv2.resize(ab, (190, 160), interpolation=cv2.INTER_CUBIC)]).astype(np.float64)
    linear = color.lab_to_linear(lab)
    inside = ((linear > 0) & (linear < 1)).all(-1)
    assert inside.mean() > 0.9
    error = made[inside] / float(2**depth - 1) - color.lab_to_srgb(lab)[inside]
    assert np.abs(error).max() < (0.8 if depth == 8 else 3) / (2**depth - 1)


def test_colors_that_are_none_are_refused():
    for wrong in (np.nan, np.inf, -1e6):
        ab = np.zeros((32, 32, 2), np.float32)
        ab[3, 4, 1] = wrong
        with pytest.raises(ValueError, match="not colors"):
            Composition(gray_photo(50, 60, 8), ab, 8)


def test_neutral_ab_gives_the_gray_back():
    photo = gray_photo(50, 60, 8)
    rgb = np.concatenate(list(Composition(photo, np.zeros((32, 32, 2), np.float32), 8)))
    assert np.abs(rgb.astype(int) - photo.codes[..., None]).max() <= 1


def test_colorfulness_is_zero_for_gray_and_grows_with_chroma():
    figures = []
    for strength in (0, 10, 40):
        composition = Composition(gray_photo(200, 200, 8), np.full((32, 32, 2), strength, np.float32), 8)
        assert sum(len(strip) for strip in composition) == 200
        figures.append(composition.colorfulness)
    assert figures[0] < 1 < figures[1] < figures[2]


def some_hints(width: int, height: int) -> Hints:
    """Boxes all over, some one over another, one without color and one that no sRGB color has."""
    colors = [{"a": a, "b": b} for a, b in RNG.uniform(-40, 40, (12, 2)).tolist()] + [
        {"a": 0, "b": 0},
        {"a": 99, "b": 99},
    ]
    places = RNG.integers(0, (width - 60, height - 60), (len(colors), 2)).tolist()
    boxes = [{"x": x, "y": y, "width": 60, "height": 45, "color": c} for (x, y), c in zip(places, colors, strict=True)]
    points = [{"x": x, "y": height - 1, "color": "#4f6d7a"} for x in (0, width - 1)]
    return Hints.parse(json.dumps({"size": [width, height], "boxes": boxes, "points": points}).encode())


@pytest.mark.parametrize(
    ("codes", "depth", "most", "usual"), [(8, 8, 0.75, 0.6), (16, 8, 0.75, 0.6), (16, 16, 0.01, 0.01)]
)
def test_hinted_pixels_have_the_color_of_the_hint(codes, depth, most, usual):
    photo, hints = gray_photo(301, 403, codes), some_hints(403, 301)
    made = color.srgb_to_lab(
        np.concatenate(list(Composition(photo, smooth_ab(20), depth, hints))) / float(2**depth - 1)
    )
    drawn, lightness = hints.draw(403, 301).astype(np.float64), photo.lightness()
    known = drawn[..., 2] > 0
    light = color.lab_to_linear(np.dstack([lightness, drawn[..., :2]]))
    inside = known & ((light > 0) & (light < 1)).all(-1)
    error = np.abs(made[..., 1:] - drawn[..., :2])[inside]
    assert inside.sum() > 10_000
    assert error.max() < most and np.percentile(error, 99.9) < usual  # dark colors in 8 bits are up to 0.7 apart
    assert np.abs(made[..., 0] - lightness)[known].max() < (0.5 if depth == 8 else 0.01)
    hue = np.arctan2(made[..., 2], made[..., 1]) - np.arctan2(drawn[..., 1], drawn[..., 0])
    outside = known & ~inside & (np.hypot(made[..., 1], made[..., 2]) > 20)
    assert outside.any() and np.degrees(np.abs((hue + np.pi) % (2 * np.pi) - np.pi)[outside].max()) < 3


def test_pixels_without_a_hint_are_as_without_hints():
    photo, ab, hints = gray_photo(301, 403, 16), smooth_ab(20), some_hints(403, 301)
    with_hints, without = (np.concatenate(list(Composition(photo, ab, 16, said))) for said in (hints, None))
    difference = np.abs(with_hints.astype(int) - without)
    free = hints.draw(403, 301)[..., 2] == 0
    assert difference[free].max() <= 1 and difference[~free].mean() > 1000


def test_strips_leave_no_seam_in_hints(monkeypatch):
    photo, ab, hints = gray_photo(333, 222, 8), smooth_ab(25), some_hints(222, 333)
    whole = np.concatenate(list(Composition(photo, ab, 8, hints))).astype(int)
    monkeypatch.setattr("colorize_core.compose.strip_rows", lambda width: 7)
    assert np.abs(whole - np.concatenate(list(Composition(photo, ab, 8, hints)))).max() <= 1


def test_only_the_colors_that_are_painted_count_as_brought_into_the_gamut():
    photo = gray_photo(100, 100, 8)
    whole = {"x": 0, "y": 0, "width": 100, "height": 100}
    shares = []
    for b in (0, 120):
        said = {
            "size": [100, 100],
            "boxes": [whole | {"color": {"a": 99, "b": 99}}, whole | {"color": {"a": 0, "b": b}}],
        }
        hints = Hints.parse(json.dumps(said).encode())
        composition = Composition(photo, np.full((32, 32, 2), 90, np.float32), 8, hints)
        assert sum(len(strip) for strip in composition) == 100
        shares.append(composition.gamut_mapped)
    assert shares[0] == 0 and shares[1] > 0.9
