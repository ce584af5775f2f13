"""Formats that Pillow opens: JPEG 2000, WebP, AVIF, GIF and BMP. Of an animation, the first picture counts."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from colorize_core import icc
from colorize_core.formats import exif
from colorize_core.header import Header, Rejected
from colorize_core.raster import Raster, full_range, strips

ALLOWED = ("JPEG2000", "WEBP", "AVIF", "GIF", "BMP")
MODES = {"I;16": "L", "I;16B": "L", "I;16L": "L", "RGBX": "RGB", "LAB": "Lab", "PA": "P", "La": "LA", "RGBa": "RGBA"}

Image.MAX_IMAGE_PIXELS = None  # our own limit comes first, and is said in our own words


def header(path: Path, page: int) -> Header:
    with Image.open(path, formats=ALLOWED) as image:
        mode = MODES.get(image.mode, image.mode)
        if mode in ("1", "L", "RGB") and "transparency" in image.info:
            mode = "RGBA" if mode == "RGB" else "LA"
        bits = {"1": 1, "I;16": 16, "I;16B": 16, "I;16L": 16}.get(image.mode, 8)
        if image.format == "JPEG2000":
            bits = _jpeg2000_bits(path)
        orientation, dpi = exif.orientation_and_dpi(_exif(image))
        x, y = image.info.get("dpi", (None, None))
        dpi = exif.resolution(x, y, 2) or dpi
        model = "gray" if mode in ("1", "L", "LA") else "cmyk" if mode == "CMYK" else "rgb"
        profile, name = icc.usable(image.info.get("icc_profile"), model)
        return Header(str(image.format), mode, bits, *image.size, 1, orientation, profile, name, dpi)


def _exif(image: Image.Image) -> Image.Exif | None:
    try:
        return image.getexif()
    except Exception:  # broken EXIF never fails a photo
        return None


def _jpeg2000_bits(path: Path) -> int:
    """Bits of the first component, from the codestream's SIZ segment."""
    with open(path, "rb") as file:
        start = file.read(1 << 20)
    siz = start.find(b"\xff\x4f\xff\x51")
    if siz < 0 or siz + 43 > len(start):
        raise Rejected("corrupt", "the JPEG 2000 file holds no codestream: get a good copy of the file")
    return (start[siz + 42] & 127) + 1


def _jpeg2000_is_ycc(path: Path) -> bool:
    """Whether the container says that the components are luminance and chroma."""
    with open(path, "rb") as file:
        start = file.read(1 << 20).partition(b"\xff\x4f\xff\x51")[0]
    box = start.find(b"colr\x01")
    return box >= 0 and int.from_bytes(start[box + 7 : box + 11], "big") == 18


def decode(path: Path, header: Header, page: int) -> Raster:
    if header.format == "JPEG2000" and header.bits > 8:
        if _jpeg2000_is_ycc(path):
            raise Rejected("unsupported", f"a YCC JPEG 2000 of {header.bits} bits: save it as RGB")
        return _split(imagecodecs.jpeg2k_decode(path.read_bytes()), header, (1 << header.bits) - 1)
    with Image.open(path, formats=ALLOWED) as image:
        image.load()
        return _split(pixels(image), header, 255)


def pixels(image: Image.Image) -> np.ndarray:
    """A loaded picture as (H, W) or (H, W, C), uint8 or uint16; palettes are looked up, bilevel becomes 0 and 255."""
    if image.mode in ("P", "PA", "YCbCr", "La", "RGBa") or "transparency" in image.info:
        alpha = "transparency" in image.info or image.mode in ("PA", "La", "RGBa")
        gray = image.mode in ("1", "L", "La")
        image = image.convert("LA" if gray else "RGBA" if alpha else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    bands = len(image.getbands())
    kind = np.uint16 if image.mode.startswith("I;16") else np.uint8
    if image.mode in ("I", "F"):
        raise Rejected("unsupported", f"pixels of kind {image.mode}: save the photo as 8 or 16 bits per channel")
    out = np.empty((image.height, image.width, bands) if bands > 1 else (image.height, image.width), kind)
    for rows in strips(out.shape):
        out[rows] = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
    return out[..., :3] if image.mode == "RGBX" else out


def _split(samples: np.ndarray, header: Header, peak: int) -> Raster:
    """Samples of Pillow's channel order into colors and alpha."""
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    model = header.model
    colors = {"gray": 1, "rgb": 3, "lab": 3, "cmyk": 4}[model]
    if channels < colors:
        raise Rejected("corrupt", f"{channels} channels where {header.mode} needs {colors}: export the photo again")
    if model == "lab":
        samples = samples.copy()
        samples[..., 1:] ^= 0x80  # Pillow keeps a and b as signed bytes
    alpha = samples[..., colors] if channels > colors and header.mode.endswith("A") else None
    if alpha is not None:
        alpha = full_range(alpha, peak)
    samples = samples if channels == 1 else samples[..., 0] if colors == 1 else samples[..., :colors]
    return Raster(samples, model, peak, alpha=alpha)
