from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab

from colorize_core import color
from colorize_core.color import Tone

RNG = np.random.default_rng(0)
RGB = np.concatenate([RNG.random((4000, 3)), np.linspace(0, 1, 256)[:, None].repeat(3, 1), np.eye(3), 1 - np.eye(3)])


def test_lab_agrees_with_scikit_image():
    assert np.abs(color.srgb_to_lab(RGB) - rgb2lab(RGB)).max() < 1e-3
    assert np.abs(color.srgb_to_lab(RGB.astype(np.float32)) - rgb2lab(RGB)).max() < 1e-3


def test_torch_agrees_with_numpy_on_any_axis():
    picture = torch.from_numpy(RGB.astype(np.float32)).T[None]
    lab = color.srgb_to_lab(picture, axis=1)
    assert lab.shape == picture.shape
    assert np.abs(lab[0].T.numpy() - rgb2lab(RGB)).max() < 1e-3
    assert torch.allclose(color.lab_to_srgb(lab, axis=1), picture, atol=1e-4)


def test_lab_comes_back():
    lab = rgb2lab(RGB)
    assert np.abs(color.lab_to_srgb(lab) - lab2rgb(lab)).max() < 1e-6
    assert np.abs(color.lab_to_srgb(lab) - RGB).max() < 1e-6


def test_gray_lightness_is_that_of_lab():
    ramp = np.linspace(0, 1, 1001)
    assert np.abs(color.gray_to_lightness(ramp) - rgb2lab(np.stack([ramp] * 3, -1))[:, 0]).max() < 1e-3


def test_wrong_number_of_channels_is_named():
    with pytest.raises(ValueError, match="3 channels"):
        color.srgb_to_lab(np.zeros((4, 4, 2)))


def test_chroma_shrinks_into_the_gamut_at_constant_lightness_and_hue():
    lightness = RNG.uniform(0, 100, 20000)
    a, b = RNG.normal(0, 60, (2, 20000))
    scale = color.chroma_scale(lightness, a, b)
    linear = color.lab_to_linear(np.stack([lightness, a * scale, b * scale], -1))
    assert linear.min() > -1e-3 and linear.max() < 1 + 1e-3
    outside = ~((color.lab_to_linear(np.stack([lightness, a, b], -1)) >= 0).all(-1)) & (scale < 1)
    assert 0.3 < outside.mean() < 1


def test_colors_well_inside_the_gamut_are_left_alone():
    lab = rgb2lab(RNG.uniform(0.2, 0.8, (20000, 3)))
    assert (color.chroma_scale(*lab.T) == 1).mean() > 0.995


def test_safe_chroma_is_inside_at_every_hue():
    lightness = np.linspace(0.1, 99.9, 500)
    safe = color.safe_chroma()[color.gamut_row(lightness)]
    for hue in np.linspace(0, 2 * np.pi, 40):
        linear = color.lab_to_linear(np.stack([lightness, safe * np.cos(hue), safe * np.sin(hue)], -1))
        assert linear.min() > -1e-4 and linear.max() < 1 + 1e-4


def photograph(lightness_only: bool = False) -> np.ndarray:
    """A Lab picture with a lot going on."""
    y, x = np.mgrid[:96, :96] / 96
    lightness = 50 + 35 * np.sin(9 * x) * np.cos(7 * y) + RNG.normal(0, 2, x.shape)
    lab = np.zeros((96, 96, 3))
    lab[..., 0] = lightness.clip(0, 100)
    if not lightness_only:
        lab[..., 1], lab[..., 2] = 30 * np.sin(5 * x + 3 * y), 30 * np.cos(4 * y - 2 * x)
    return lab


@pytest.mark.parametrize(("hue", "chroma"), [(1.2, 12), (1.2, 25), (-1.3, 20), (0.4, 15)])
def test_one_hue_that_follows_lightness_is_a_toned_print(hue, chroma):
    lab = photograph(lightness_only=True)
    strength = chroma * (1 - ((lab[..., 0] - 50) / 60) ** 2).clip(0.1)
    stain = 1 + 0.1 * np.sin(np.linspace(0, 3, 96))[:, None]
    lab[..., 1] = strength * stain * np.cos(hue) + RNG.normal(0, 0.5, strength.shape)
    lab[..., 2] = strength * stain * np.sin(hue) + RNG.normal(0, 0.5, strength.shape)
    assert color.classify_tone(lab) is Tone.TONED


def test_neutral_and_color():
    gray = photograph(lightness_only=True)
    assert color.classify_tone(gray) is Tone.NEUTRAL
    assert color.classify_tone(gray + [0, 1.0, -1.5]) is Tone.NEUTRAL  # a faint cast
    assert color.classify_tone(photograph()) is Tone.COLOR


def test_most_color_photographs_are_told_from_prints(data):
    import io

    import pyarrow.parquet as pq
    from PIL import Image

    rows = pq.read_table(data / "photos" / "photos-1.parquet", columns=["image"]).slice(0, 400).to_pylist()
    tones = []
    for row in rows:
        rgb = np.asarray(Image.open(io.BytesIO(row["image"])).convert("RGB"), np.float32) / 255
        tones.append(color.classify_tone(color.srgb_to_lab(rgb)))
    assert tones.count(Tone.COLOR) / len(tones) > 0.95
    assert Tone.NEUTRAL not in tones
