"""The archive of the campaign: small gray photographs that all differ, a few of them bad, in a bucket."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import skimage.data
import tifffile
from PIL import Image

PICTURES = Path(skimage.data.__file__).parent
NAMES = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "moon.png", "motorcycle_left.png", "motorcycle_right.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
KINDS = {"jpg": 80, "png": 6, "tif": 6, "16 bits tif": 3, "16 bits png": 2, "2 pages tif": 2, "color jpg": 1}
BAD = 0.03  # of the photographs
BAD_KINDS = ("cut jpg", "cut png", "cut tif", "garbage", "empty", "letter", "lying png", "damaged jpg")


def photographs(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Keys and files; the same for the same count and seed."""
    rng = random.Random(seed)
    bad = set(rng.sample(range(count), max(1, round(count * BAD))))
    for i in range(count):
        if i in bad:
            kind = BAD_KINDS[sorted(bad).index(i) % len(BAD_KINDS)]
            yield f"{_folder(i)}/{kind} {i:04}.{kind[-3:] if kind[-3:] in ('png', 'tif') else 'jpg'}", _bad(kind, rng)
        else:
            (kind,) = rng.choices([*KINDS], [*KINDS.values()])
            yield f"{_folder(i)}/scan {i:04}.{kind[-3:]}", _good(kind, rng)


def store(client, bucket: str, prefix: str, count: int, seed: int) -> None:
    """Put the archive into a bucket."""
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(
            lambda photo: client.put_object(Bucket=bucket, Key=prefix + photo[0], Body=photo[1]),
            photographs(count, seed),
        ):
            pass


def _folder(i: int) -> str:
    return ("box 1", "box 2/Jørgensen", "box 3/50% off #1")[i % 3]


@cache
def _picture(name: str) -> Image.Image:
    return Image.open(PICTURES / name).convert("RGB")


def _cut(rng: random.Random, mode: str) -> Image.Image:
    """Some part of some picture, turned by some angle, 160 to 400 pixels a side."""
    picture = _picture(rng.choice(NAMES))
    width, height = (rng.randint(160, min(400, side)) for side in picture.size)
    left, top = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
    part = picture.crop((left, top, left + width, top + height)).convert(mode)
    return part.rotate(rng.uniform(-3, 3), Image.Resampling.BILINEAR).transpose(rng.choice([*Image.Transpose]))


def _saved(picture: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _tiff(*pages: np.ndarray) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        for page in pages:
            tiff.write(page, photometric="minisblack")
    return file.getvalue()


def _deep(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.uint16) * 257


def _good(kind: str, rng: random.Random) -> bytes:
    picture = _cut(rng, "RGB" if kind == "color jpg" else "L")
    match kind:
        case "png":
            return _saved(picture, "PNG")
        case "tif":
            return _saved(picture, "TIFF", compression="tiff_lzw")
        case "16 bits tif":
            return _tiff(_deep(picture))
        case "16 bits png":
            return _saved(Image.fromarray(_deep(picture)), "PNG")
        case "2 pages tif":
            return _tiff(np.asarray(picture), np.asarray(_cut(rng, "L")))
    return _saved(picture, "JPEG", quality=rng.randint(80, 95))


def _bad(kind: str, rng: random.Random) -> bytes:
    match kind:
        case "garbage":
            return rng.randbytes(9_000)
        case "empty":
            return b""
        case "letter":
            return b"Dear archivist, this is no picture. " * 30
        case "lying png":  # 60,000 pixels a side, it says
            header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
            whole = _good("png", rng)
            return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]
        case "damaged jpg":
            whole = _good("jpg", rng)
            return whole[:300] + bytes(200) + whole[500:]
    whole = _good(kind.removeprefix("cut "), rng)
    return whole[: len(whole) // 2]
