"""Photoshop files (PSD, and PSB beyond 30,000 pixels): the merged picture, 1, 8 and 16 bits; layers are not opened."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path

import imagecodecs
import numpy as np

from colorize_core import icc
from colorize_core.formats import exif
from colorize_core.header import Header, Rejected
from colorize_core.raster import Raster

MODES = {0: "1", 1: "L", 2: "P", 3: "RGB", 4: "CMYK", 8: "L", 9: "Lab"}  # 8 is duotone: its gray is what counts
CHANNELS = {"1": 1, "L": 1, "P": 1, "RGB": 3, "CMYK": 4, "Lab": 3}
RESOLUTION, ICC_PROFILE, VERSION_INFO = 1005, 1039, 1057


@dataclass
class Layout:
    """Where things are in the file."""

    channels: int
    height: int
    width: int
    bits: int
    mode: str
    big: bool  # PSB: lengths of layers and rows are wider
    palette: bytes
    resources: dict[int, bytes] = field(default_factory=dict)
    transparent: bool = False  # the first extra channel is the merged picture's alpha
    pixels: int = 0  # where the merged picture begins


def parse(data: mmap.mmap) -> Layout:
    try:
        return _parse(data)
    except struct.error:
        raise Rejected("truncated", "the PSD ends inside its header: get a complete copy of the file") from None


def _parse(data: mmap.mmap) -> Layout:
    version, channels, height, width, bits, mode = struct.unpack_from(">4xH6xHIIHH", data)
    if mode not in MODES or bits not in (1, 8, 16) or version not in (1, 2):
        raise Rejected("unsupported", f"a PSD of mode {mode} at {bits} bits: save it as gray, RGB, CMYK or Lab TIFF")
    if channels < CHANNELS[MODES[mode]]:
        raise Rejected("corrupt", f"a PSD of {channels} channels in {MODES[mode]}: export the photo again")
    (length,) = struct.unpack_from(">I", data, 26)
    layout = Layout(channels, height, width, bits, MODES[mode], version == 2, data[30 : 30 + length])
    position = 30 + length
    (length,) = struct.unpack_from(">I", data, position)
    layout.resources = _resources(data[position + 4 : position + 4 + length])
    position += 4 + length
    wide = ">Q" if layout.big else ">I"
    (length,) = struct.unpack_from(wide, data, position)
    position += struct.calcsize(wide)
    if length > struct.calcsize(wide) + 2:
        (layers,) = struct.unpack_from(">h", data, position + struct.calcsize(wide))
        layout.transparent = layers < 0
    layout.pixels = position + length
    struct.unpack_from(">H", data, layout.pixels)
    return layout


def _resources(block: bytes) -> dict[int, bytes]:
    found, position = {}, 0
    while block[position : position + 4] == b"8BIM" and position + 12 <= len(block):
        (kind,) = struct.unpack_from(">H", block, position + 4)
        position += 6 + (block[position + 6] // 2 + 1) * 2
        if position + 4 > len(block):
            break
        (length,) = struct.unpack_from(">I", block, position)
        found[kind] = block[position + 4 : position + 4 + length]
        position += 4 + length + length % 2
    return found


def header(path: Path, page: int) -> Header:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        layout = parse(data)
    version = layout.resources.get(VERSION_INFO, b"")
    if len(version) > 4 and version[4] == 0:
        raise Rejected(
            "unsupported", "a PSD without a merged picture: save it with maximized compatibility, or as TIFF"
        )
    mode = layout.mode
    if layout.transparent and layout.channels > CHANNELS[mode] and mode in ("L", "RGB", "CMYK", "Lab"):
        mode += "A"
    model = {"1": "gray", "L": "gray", "CMYK": "cmyk", "Lab": "lab"}.get(layout.mode, "rgb")
    profile, name = icc.usable(layout.resources.get(ICC_PROFILE), model)
    dpi, resolution = None, layout.resources.get(RESOLUTION, b"")
    if len(resolution) >= 12:
        x, y = struct.unpack_from(">I4xI", resolution)
        dpi = exif.resolution(x / 65536, y / 65536, 2)
    return Header("PSD", mode, layout.bits, layout.width, layout.height, 1, 1, profile, name, dpi)


def decode(path: Path, header: Header, page: int) -> Raster:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        layout = parse(data)
        wanted = CHANNELS[layout.mode] + header.mode.endswith("A")
        planes = _planes(path, data, layout, wanted)
    if layout.bits == 1:
        bilevel = np.unpackbits(planes[0], axis=1, count=layout.width)
        return Raster(bilevel, "gray", 1, inverted=True)
    if layout.mode == "P":
        if len(layout.palette) < 768:
            raise Rejected("corrupt", "the PSD's palette is too short: export the photo again")
        table = np.frombuffer(layout.palette, np.uint8, 768).reshape(3, 256).T
        return Raster(table[planes[0]], "rgb", 255)
    if not planes.dtype.isnative:
        planes = planes.astype(np.uint16)
    colors = CHANNELS[layout.mode]
    samples = planes[0] if colors == 1 else np.moveaxis(planes[:colors], 0, -1)
    alpha = planes[colors] if wanted > colors else None
    return Raster(samples, header.model, (1 << layout.bits) - 1, inverted=layout.mode == "CMYK", alpha=alpha)


def _planes(path: Path, data: mmap.mmap, layout: Layout, wanted: int) -> np.ndarray:
    """The first ``wanted`` channels: (channels, height, width), or packed bits in rows."""
    (compression,) = struct.unpack_from(">H", data, layout.pixels)
    kind = np.dtype(">u2" if layout.bits == 16 else "u1")
    across = (layout.width + 7) // 8 if layout.bits == 1 else layout.width
    shape, position = (wanted, layout.height, across), layout.pixels + 2
    cut = Rejected("truncated", "the PSD ends inside its picture: get a complete copy of the file")
    if compression == 0:
        if position + layout.channels * layout.height * across * kind.itemsize > len(data):
            raise cut
        return np.memmap(path, kind, "r", position, shape)
    if compression != 1:
        raise Rejected("unsupported", f"a PSD compressed with method {compression}: save it as TIFF")
    every = layout.channels * layout.height
    width = np.dtype(">u4" if layout.big else ">u2")
    if position + every * width.itemsize > len(data):
        raise cut
    counts = np.frombuffer(data[position : position + every * width.itemsize], width).astype(np.int64)
    position += every * width.itemsize
    if position + int(counts.sum()) > len(data):
        raise cut
    planes = np.empty(shape, kind)
    rows = planes.reshape(-1, across)
    for row, count in zip(rows, counts[: len(rows)].tolist(), strict=True):
        line = imagecodecs.packbits_decode(data[position : position + count])
        row[:] = np.frombuffer(line, kind, across)
        position += count
    return planes
