from __future__ import annotations

import numpy as np
import torch
from color_dataset import picture

from colorize_core import color
from colorize_core.training.augment import lesson, transform
from colorize_core.training.degrade import degrade
from colorize_core.training.recipe import Augmentation


def pictures(count: int = 12, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.stack([picture(rng, side) for _ in range(count)])


def as_tensor(rgb: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255


def test_without_augmentation_the_lesson_is_the_photograph():
    rgb = pictures()
    lightness, ab = lesson(rgb, 64, Augmentation(), np.random.default_rng(0))
    lab = color.srgb_to_lab(as_tensor(rgb), axis=1)
    assert torch.allclose(lightness, lab[:, :1], atol=0.05) and torch.allclose(ab, lab[:, 1:], atol=0.2)


def test_pictures_are_mirrored_or_not():
    x = as_tensor(pictures())
    made = transform(x, 64, Augmentation(flip=0.5), np.random.default_rng(0))
    same = [torch.allclose(a, b, atol=1e-3) for a, b in zip(made, x, strict=True)]
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-3) for a, b in zip(made, x, strict=True)]
    assert any(same) and any(mirrored) and all(a != b for a, b in zip(same, mirrored, strict=True))


def test_a_crop_is_a_part_of_the_picture():
    ramp = torch.linspace(0, 1, 64).expand(20, 3, 64, 64)
    made = transform(ramp, 64, Augmentation(crop=(0.5, 0.5)), np.random.default_rng(0))
    spans = made.amax((1, 2, 3)) - made.amin((1, 2, 3))
    assert torch.allclose(spans, torch.full((20,), 0.5), atol=0.02)
    assert made.amin((1, 2, 3)).std() > 0.05  # not always the same part


def test_turning_and_shearing_move_pixels_and_invent_none():
    made = transform(as_tensor(pictures()), 64, Augmentation(rotate=30, shear=0.3), np.random.default_rng(0))
    before = as_tensor(pictures())
    assert (made - before).abs().mean() > 0.02
    assert made.min() >= before.min() - 1e-6 and made.max() <= before.max() + 1e-6


def test_a_large_photograph_is_averaged_not_sampled():
    board = torch.zeros(1, 3, 256, 256)
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = 1.0
    made = transform(board, 64, Augmentation(), np.random.default_rng(0))
    assert torch.allclose(made, torch.full_like(made, 0.5), atol=0.01)


def test_aging_touches_lightness_alone_and_stays_in_range():
    how, rgb = Augmentation(degrade=True), pictures(32)
    lightness, ab = lesson(rgb, 64, how, np.random.default_rng(0))
    clean, same = lesson(rgb, 64, Augmentation(), np.random.default_rng(0))
    assert torch.equal(ab, same)
    changed = (lightness - clean).abs().mean((1, 2, 3))
    assert (changed > 1).float().mean() > 0.5 and lightness.min() >= 0 and lightness.max() <= 100


def test_film_that_hardly_sees_red_darkens_it():
    red = torch.zeros(200, 3, 8, 8)
    red[:, 0] = 0.8
    lightness = color.srgb_to_lab(red, axis=1)[:, :1]
    made = degrade(red, lightness, np.random.default_rng(0)).mean((1, 2, 3))
    assert made.min() < lightness.mean() - 10
