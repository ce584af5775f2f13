"""The photographs that a benchmark works on: made here, the same bytes every time, in a stated mix.

Each is a scene of soft shapes and hard edges under film grain. At JPEG quality 90 a pixel takes about 0.35 bytes, as it
does in scans of real prints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import tifffile

# megapixels: how many of each form in 300
MIX = {
    2: {"gray-jpeg": 150, "rgb-jpeg": 30, "sepia-jpeg": 10, "lzw8": 16, "plain8": 12, "plain16": 10, "lzw16": 8},
    8: {"gray-jpeg": 30, "rgb-jpeg": 6, "sepia-jpeg": 2, "lzw8": 4, "plain8": 3, "plain16": 3, "lzw16": 2},
    24: {"gray-jpeg": 6, "rgb-jpeg": 1, "sepia-jpeg": 1, "lzw8": 1, "plain8": 1, "plain16": 1, "lzw16": 1},
    100: {"gray-jpeg": 1, "plain16": 1},
}
SHAPES = ((3, 2), (4, 3), (5, 4), (2, 3), (3, 4))  # width to height
QUALITY = 90
GRAIN = 13.0  # standard deviation in 8-bit codes
GRAIN_SIDE = 1024  # pixels
OCTAVES = 7  # of the fields a scene is summed from, the first 4 points wide
INK, PAPER = (43, 26, 14), (246, 230, 196)  # RGB of a brown print's black and white


@dataclass(frozen=True)
class Kind:
    """Photographs of one size and form, and how many of them there are."""

    megapixels: float
    form: str
    count: int


def mix(count: int) -> list[Kind]:
    """The mix brought to ``count`` photographs: one of each kind as far as they go, common kinds first, then in
    proportion. Kinds that get none are left out.
    """
    kinds = [Kind(megapixels, form, n) for megapixels, forms in MIX.items() for form, n in forms.items()]
    kinds.sort(key=lambda kind: -kind.count)
    total, counts = sum(kind.count for kind in kinds), [int(i < count) for i in range(len(kinds))]
    while sum(counts) < count:
        behind = [kind.count / total * count - n for kind, n in zip(kinds, counts, strict=True)]
        counts[behind.index(max(behind))] += 1
    found = [Kind(kind.megapixels, kind.form, n) for kind, n in zip(kinds, counts, strict=True) if n]
    return sorted(found, key=lambda kind: kind.megapixels)


def make(folder: Path, count: int, scale: float = 1.0) -> list[Path]:
    """Write the mix below ``folder`` and give its files, small ones first; a file that is there is left as it is.

    scale: of the sides of every picture. Raises OSError.
    """
    paths = []
    for kind in mix(count):
        for number in range(kind.count):
            suffix = "jpg" if kind.form.endswith("jpeg") else "tif"
            path = folder / f"{kind.megapixels:03}mp" / f"{kind.form}-{number:04}.{suffix}"
            if not path.is_file():
                write(path, kind.megapixels * scale**2, kind.form, number)
            paths.append(path)
    return paths


def small(folder: Path, count: int, kinds: int = 20) -> None:
    """Fill ``folder`` with ``count`` gray JPEGs of 0.1 to 0.3 MP: so many different ones under many names."""
    originals = folder.with_name(f"{folder.name}-originals")
    for i in range(kinds):
        if not (path := originals / f"{i:02}.jpg").is_file():
            write(path, 0.1 + 0.2 * i / (kinds - 1), "gray-jpeg", i)
    for i in range(count):
        path = folder / f"{i // 1000:04}" / f"{i:07}.jpg"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.hardlink_to(originals / f"{i % kinds:02}.jpg")


def sample(paths: Sequence[Path], count: int) -> list[Path]:
    """Every so many of the paths, evenly: of a list in order of size, the same mix."""
    count = min(count, len(paths))
    return [paths[int((i + 0.5) * len(paths) / count)] for i in range(count)]


def write(path: Path, megapixels: float, form: str, number: int) -> None:
    """Write one photograph; those of different size, form or number differ. Raises OSError."""
    random = np.random.default_rng([number, int(megapixels * 1e6), list(FORMS).index(form)])
    across, down = SHAPES[number % len(SHAPES)]
    height = max(16, round(math.sqrt(megapixels * 1e6 * down / across)))
    width = max(16, round(height * across / down))
    picture = scene(width, height, random)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    FORMS[form](part, picture, random)
    part.replace(path)


def scene(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Soft shapes and hard edges as a lens draws them, without grain: (height, width) uint8."""
    size = max(8, width // 2), max(8, height // 2)
    light = np.zeros(size[::-1], np.float32)
    for octave in range(OCTAVES):
        points = 4 << octave
        field = random.standard_normal((points, points), np.float32)
        light += cv2.resize(field, size, interpolation=cv2.INTER_LINEAR) * 0.62**octave
    light = 128 + 34 * light
    for _ in range(40):
        corners = random.uniform(-0.1, 1.1, 2) + random.uniform(-0.18, 0.18, (5, 2))
        outline = np.rint(cv2.convexHull((corners * size).astype(np.float32))).astype(np.int32)
        patch = np.zeros(light.shape, np.float32)
        cv2.fillConvexPoly(patch, outline, float(random.normal(0, 28)))
        light += patch
    codes = cv2.convertScaleAbs(np.clip(light, 6, 249))
    return cv2.resize(codes, (width, height), interpolation=cv2.INTER_CUBIC)


@cache
def grain_tile() -> np.ndarray:
    """Film grain, clumped over two pixels: (side, side) float32 with a mean of 0."""
    noise = np.random.default_rng(0).standard_normal((GRAIN_SIDE, GRAIN_SIDE), np.float32)
    clumps = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.7))
    return clumps * (GRAIN / clumps.std())


def grained(picture: np.ndarray, random: np.random.Generator, dtype: type = np.uint8) -> np.ndarray:
    """The picture with grain on it, at the depth of ``dtype``: uint8 or uint16."""
    tile = np.roll(grain_tile(), random.integers(0, GRAIN_SIDE, 2), (0, 1))
    unit = np.iinfo(dtype).max // 255
    result: np.ndarray = np.empty(picture.shape, dtype)
    for top in range(0, len(picture), GRAIN_SIDE):
        rows = picture[top : top + GRAIN_SIDE]
        for left in range(0, rows.shape[1], GRAIN_SIDE):
            part = rows[:, left : left + GRAIN_SIDE]
            bright = (part + tile[: part.shape[0], : part.shape[1]]) * unit
            result[top : top + len(rows), left : left + part.shape[1]] = np.clip(bright, 0, 255 * unit)
    return result


def _gray_jpeg(path: Path, picture: np.ndarray, random: np.random.Generator) -> None:
    path.write_bytes(simplejpeg.encode_jpeg(grained(picture, random)[..., None], QUALITY, "GRAY", "Gray"))


def _rgb_jpeg(path: Path, picture: np.ndarray, random: np.random.Generator) -> None:
    """Gray, stored with three channels."""
    path.write_bytes(simplejpeg.encode_jpeg(cv2.merge([grained(picture, random)] * 3), QUALITY, "RGB", "420"))


def _sepia_jpeg(path: Path, picture: np.ndarray, random: np.random.Generator) -> None:
    steps = np.arange(256)[:, None] / 255
    toned = np.rint(np.array(INK) + steps * (np.array(PAPER) - np.array(INK))).astype(np.uint8)
    path.write_bytes(simplejpeg.encode_jpeg(toned[grained(picture, random)], QUALITY, "RGB", "420"))


def _tiff(depth: type, **options: Any) -> Callable[[Path, np.ndarray, np.random.Generator], None]:
    def write_tiff(path: Path, picture: np.ndarray, random: np.random.Generator) -> None:
        pixels = grained(picture, random, depth)
        tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None, resolution=(300, 300), **options)

    return write_tiff


FORMS: dict[str, Callable[[Path, np.ndarray, np.random.Generator], None]] = {
    "gray-jpeg": _gray_jpeg,
    "rgb-jpeg": _rgb_jpeg,
    "sepia-jpeg": _sepia_jpeg,
    "lzw8": _tiff(np.uint8, compression="lzw", predictor=True),
    "plain8": _tiff(np.uint8),
    "plain16": _tiff(np.uint16),
    "lzw16": _tiff(np.uint16, compression="lzw", predictor=True),
}
