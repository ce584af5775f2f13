"""A batch of photographs becomes a lesson: what the network sees, and what it should answer."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize_core import color
from colorize_core.training.degrade import degrade
from colorize_core.training.recipe import Augmentation


def lesson(rgb: np.ndarray, side: int, how: Augmentation, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Lightness (B, 1, side, side) in 0..100 and ab (B, 2, side, side) of photographs (B, S, S, 3) uint8."""
    pictures = torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255
    pictures = transform(pictures, side, how, rng)
    lab = color.srgb_to_lab(pictures, axis=1)
    lightness = degrade(pictures, lab[:, :1], rng) if how.degrade else lab[:, :1]
    return lightness, lab[:, 1:]


def transform(pictures: Tensor, side: int, how: Augmentation, rng: np.random.Generator) -> Tensor:
    """(B, 3, S, S) cropped, flipped, turned and sheared at random to (B, 3, side, side), mirrored beyond the edges."""
    b = len(pictures)
    scale = rng.uniform(*how.crop, b)
    shift = rng.uniform(-1, 1, (2, b)) * (1 - scale)
    mirror = np.where(rng.random(b) < how.flip, -1.0, 1.0)
    angle = np.radians(rng.uniform(-how.rotate, how.rotate, b))
    slant = rng.uniform(-how.shear, how.shear, b)
    cos, sin = np.cos(angle), np.sin(angle)
    theta = np.stack(
        [
            np.stack([mirror * cos * scale, (slant * cos - sin) * scale, shift[0]], -1),
            np.stack([mirror * sin * scale, (slant * sin + cos) * scale, shift[1]], -1),
        ],
        1,
    ).astype(np.float32)
    grown = math.ceil(pictures.shape[-1] * float(scale.max()) / side)
    if grown > 1:  # sampling would skip pixels
        pictures = F.avg_pool2d(pictures, grown)
    grid = F.affine_grid(torch.from_numpy(theta), [b, 3, side, side], align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
