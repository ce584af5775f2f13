"""Folders of small color photographs, and of pictures that are no such thing, for tests of the training set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data, transform
from skimage.color import rgb2lab

from colorize_core.color import Tone, classify_tone

SUBJECTS = {"people": data.astronaut, "table": data.coffee, "animals": data.cat, "sky": data.rocket}


def write_color_photos(folder: Path, count: int, side: int = 200, seed: int = 0) -> list[str]:
    """``count`` different crops of four color photographs, in a class folder each; gives their keys, sorted."""
    rng = np.random.default_rng(seed)
    pictures = {name: load() for name, load in SUBJECTS.items()}
    keys = []
    for number in range(count):
        name = list(pictures)[number % len(pictures)]
        crop = _crop(pictures[name], side, rng)
        while classify_tone(rgb2lab(crop)) is not Tone.COLOR:  # a table top alone is of one hue
            crop = _crop(pictures[name], side, rng)
        key = f"{name}/{number:04}.jpg"
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray((crop * 255).astype(np.uint8)).save(folder / key, quality=90)
        keys.append(key)
    return sorted(keys)


def _crop(picture: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    size = int(rng.integers(min(picture.shape[:2]) // 3, min(picture.shape[:2]) * 2 // 3))
    top, left = (int(rng.integers(0, picture.shape[axis] - size)) for axis in (0, 1))
    return transform.resize(picture[top : top + size, left : left + size], (side, side), anti_aliasing=True)


def write_unfit(folder: Path) -> dict[str, str]:
    """One picture of every kind that is dropped; gives the reason by key."""
    folder.mkdir(parents=True, exist_ok=True)
    color = Image.fromarray(data.coffee()).resize((300, 200))
    gray = color.convert("L")
    tint = np.asarray(gray, np.float32)[..., None] / 255 * np.float32([255, 225, 180])
    framed = Image.new("RGB", (360, 260), "white")
    framed.paste(color, (30, 30))
    pictures = {
        "unfit/gray.jpg": ("grayscale", gray),
        "unfit/sepia.jpg": ("toned", Image.fromarray(tint.astype(np.uint8))),
        "unfit/icon.png": ("tiny", color.resize((64, 48))),
        "unfit/framed.jpg": ("bordered", framed),
    }
    (folder / "unfit").mkdir()
    for key, (_, picture) in pictures.items():
        picture.save(folder / key)
    (folder / "unfit/letter.jpg").write_bytes(b"Dear archivist, this is no photograph. " * 20)
    whole = (folder / "unfit/framed.jpg").read_bytes()
    (folder / "unfit/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "unfit/empty.jpg").write_bytes(b"")
    more = {"unfit/letter.jpg": "not_an_image", "unfit/cut.jpg": "truncated", "unfit/empty.jpg": "empty"}
    return {key: reason for key, (reason, _) in pictures.items()} | more
