"""What emulsions, time and scanners do to lightness. Color, the answer of the lesson, stays clean."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize_core import color


def degrade(rgb: Tensor, lightness: Tensor, rng: np.random.Generator) -> Tensor:
    """Lightness (B, 1, H, W) in 0..100 as an old print of ``rgb`` (B, 3, H, W) in 0..1 would have it.

    Other film sensitivities, tone curves, fading, blur, scratches and grain, each to some of the pictures.
    """
    b = len(rgb)

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (b, 1, 1, 1)).astype(np.float32))

    def sometimes(p: float) -> Tensor:
        return torch.from_numpy(rng.random((b, 1, 1, 1)) < p)

    # Orthochromatic film hardly saw red; early plates saw little but blue.
    weights = rng.dirichlet((2.0, 4.0, 2.0), b).astype(np.float32)
    film = (color.srgb_to_linear(rgb) * torch.from_numpy(weights)[:, :, None, None]).sum(1, keepdim=True)
    film = color.gray_to_lightness(color.linear_to_srgb(film.clamp(0, 1)))
    out = torch.where(sometimes(0.4), film, lightness) / 100
    out = torch.where(sometimes(0.5), out.clamp(1e-4, 1) ** uniform(0.7, 1.4), out)
    black, white = uniform(0.0, 0.15), uniform(0.85, 1.0)
    out = torch.where(sometimes(0.4), black + out * (white - black), out)
    if rng.random() < 0.4:
        out = blur(out, rng.uniform(0.4, 1.6))
    out = torch.where(sometimes(0.15), scratch(out, rng), out)
    grain = torch.from_numpy(rng.standard_normal(out.shape, dtype=np.float32))
    out = out + torch.where(sometimes(0.4), uniform(0.0, 0.05), torch.zeros(1)) * grain
    return out.clamp(0, 1) * 100


def blur(x: Tensor, sigma: float) -> Tensor:
    """(B, 1, H, W) under a Gaussian of ``sigma`` pixels, at most 2."""
    at = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    x = F.conv2d(F.pad(x, (3, 3, 0, 0), mode="reflect"), kernel.view(1, 1, 1, 7))
    return F.conv2d(F.pad(x, (0, 0, 3, 3), mode="reflect"), kernel.view(1, 1, 7, 1))


def scratch(x: Tensor, rng: np.random.Generator) -> Tensor:
    """(B, 1, H, W) in 0..1 with a few straight scratches across each picture, most of them bright."""
    vertical, horizontal = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in x.shape[-2:]), indexing="ij")
    out = x.clone()
    for picture in out:
        for _ in range(rng.integers(1, 4)):
            angle, offset, width = rng.uniform(0, math.pi), rng.uniform(-1, 1), rng.uniform(0.004, 0.015)
            line = (math.cos(angle) * horizontal + math.sin(angle) * vertical - offset).abs() < width
            tone = rng.uniform(0.6, 1.0) if rng.random() < 0.7 else rng.uniform(0.0, 0.3)
            picture[0][line] = 0.3 * picture[0][line] + 0.7 * tone
    return out
