"""Weights and inputs that follow from names alone, so that two implementations of a network can be compared by numbers.

Every value is drawn from a generator seeded by the CRC of its name: nothing trained is needed, and nothing is stored.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor, nn

GAINS = {  # of layers that would otherwise leave the usual range
    "model1.0.weight": 8,
    "model8.6.weight": 2,
    "model_out.weight": 24,
    "model_out.0.weight": 0.5,
    "decoder.color_decoder.color_embed.layers.2.weight": 8,
}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def weights(network: nn.Module) -> dict[str, Tensor]:
    """A whole state for a network with the names of eccv16, siggraph17 or ddcolor, in the order of its own."""
    state: dict[str, np.ndarray] = {}
    for key, tensor in network.state_dict().items():
        state[key] = _right_vector(state, key) if key.endswith("weight_v") else _value(key, tensor)
    return {key: torch.from_numpy(value) for key, value in state.items()}


def _draw(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.sqrt((vector**2).sum())).astype(np.float32)


def _right_vector(state: dict[str, np.ndarray], key: str) -> np.ndarray:
    """What a spectral norm's weight turns its left vector into."""
    stem = key.removesuffix("_v")
    matrix = state[f"{stem}_orig"].astype(np.float64)
    return _unit(matrix.reshape(len(matrix), -1).T @ state[f"{stem}_u"].astype(np.float64))


def _value(key: str, like: Tensor) -> np.ndarray:
    shape, leaf = tuple(like.shape), key.rpartition(".")[2]
    if not like.is_floating_point():
        return np.zeros(shape, np.int64)
    if key in IMAGENET:
        return np.array(IMAGENET[key], np.float32).reshape(shape)
    normal = _draw(key).standard_normal(shape).astype(np.float32)
    small = np.float32(0.05) * normal
    if leaf == "weight_u":
        return _unit(normal.astype(np.float64))
    if leaf == "running_mean":
        return np.float32(0 if ".shuf." in key or key.endswith(".bn.running_mean") else 0.4) + small
    if leaf == "running_var":
        return np.float32(0.3 if key.startswith("decoder.") else 0.8) + np.abs(small)
    if leaf == "gamma":
        return np.float32(0.2) + small
    if leaf.endswith("bias"):
        return small
    if len(shape) == 1:
        return np.float32(1) + small
    if key.endswith(("query_feat.weight", "query_embed.weight")):
        return normal
    if key.endswith("level_embed.weight"):
        return np.float32(0.5) * normal
    gain = GAINS.get(key, 1 if leaf == "in_proj_weight" else 2 if key.endswith("out_proj.weight") else np.sqrt(2))
    return np.float32(gain / np.sqrt(np.prod(shape[1:]))) * normal


def lightness(height: int, width: int, tag: str) -> np.ndarray:
    """A made-up photograph: L in 2..98, (height, width) float32; slopes, waves, blobs, edges and a texture."""
    draw = _draw(f"image:{tag}").uniform
    y, x = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None] + 0.5) / width
    value = 50 + draw(-20, 20) * (y - 0.5) + draw(-20, 20) * (x - 0.5)
    for wave in range(6):
        angle, phase = draw(0, 2 * np.pi), draw(0, 2 * np.pi)
        along = x * np.cos(angle) + y * np.sin(angle)
        value = value + 12 / (1 + 0.5 * wave) * np.sin(2 * np.pi * (1 + wave) * along + phase)
    for _ in range(3):
        (at_x, at_y), radius = draw(0.15, 0.85, size=2), draw(0.06, 0.2)
        value = value + draw(-35, 35) * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * radius**2))
    for _ in range(2):
        angle, offset = draw(0, 2 * np.pi), draw(-0.25, 0.25)
        side = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) - offset
        value = value + draw(8, 18) * np.tanh(120 * side)
    angle = draw(0, 2 * np.pi)
    value = value + 2.5 * np.sin(2 * np.pi * 45 * (x * np.cos(angle) + y * np.sin(angle)))
    return np.clip(value, 2, 98).astype(np.float32)


def gray_rgb(lightness: np.ndarray) -> np.ndarray:
    """The neutral sRGB of lightness (h, w): (3, h, w) float32 in 0..1, by way of float64."""
    f = (lightness.astype(np.float64) + 16) / 116
    light = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    codes = np.where(light > 0.0031308, 1.055 * np.maximum(light, 1e-12) ** (1 / 2.4) - 0.055, 12.92 * light)
    return np.repeat(np.clip(codes, 0, 1).astype(np.float32)[None], 3, 0)


def hints(height: int, width: int, tag: str) -> np.ndarray:
    """Five squares of color: (3, height, width) float32, a and b in Lab units and a mask."""
    drawn, draw = np.zeros((3, height, width), np.float32), _draw(f"hints:{tag}")
    for half in (0, 1, 2, 0, 1):
        row, column = int(draw.integers(8, height - 8)), int(draw.integers(8, width - 8))
        color = np.round(draw.uniform(-70, 70, size=2), 1)
        square = drawn[:, row - half : row + half + 1, column - half : column + half + 1]
        square[0], square[1], square[2] = *color, 1
    return drawn


def picture(height: int, width: int, tag: str) -> np.ndarray:
    """A made-up color photograph: (height, width, 3) uint8."""
    common = lightness(height, width, tag).astype(np.float64)
    planes = [0.7 * common + 0.3 * lightness(height, width, f"{tag}:{name}") for name in ("red", "green", "blue")]
    return np.clip(np.rint(np.stack(planes, -1) * 2.55), 0, 255).astype(np.uint8)
