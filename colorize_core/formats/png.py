"""PNG files: 1 to 16 bits, gray, palette and color, with or without transparency, interlaced or not."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np

from colorize_core import icc
from colorize_core.formats import exif
from colorize_core.header import Header, Rejected
from colorize_core.raster import Raster

MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
MAX_PROFILE = 16 << 20


def chunks(data: mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of every chunk's content, as far as the file is whole."""
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        name, start = data[position + 4 : position + 8], position + 8
        if start + length + 4 > len(data):
            return
        yield name, start, start + length
        if name == b"IEND":
            return
        position = start + length + 4


def header(path: Path, page: int) -> Header:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[12:16] != b"IHDR" and len(data) >= 16:
            raise Rejected("corrupt", "the PNG does not begin with its header: export the photo again")
        if len(data) < 33:
            raise Rejected("truncated", "the PNG ends inside its header: get a complete copy of the file")
        width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        bits, kind = data[24], data[25]
        if kind not in MODES or bits not in DEPTHS[kind]:
            raise Rejected("corrupt", f"the PNG says color type {kind} at {bits} bits: export the photo again")
        wanted = (b"iCCP", b"eXIf", b"pHYs", b"tRNS")
        found = {name: data[start:end] for name, start, end in chunks(data) if name in wanted}
    mode = "1" if kind == 0 and bits == 1 else MODES[kind]
    if b"tRNS" in found and mode in ("1", "L", "RGB"):
        mode = {"1": "LA", "L": "LA", "RGB": "RGBA"}[mode]
    orientation, dpi = exif.orientation_and_dpi(found.get(b"eXIf"))
    physical = found.get(b"pHYs", b"")
    if len(physical) == 9 and physical[8] == 1:
        per_meter = int.from_bytes(physical[:4], "big"), int.from_bytes(physical[4:8], "big")
        dpi = exif.resolution(per_meter[0] / 100, per_meter[1] / 100, 3) or dpi
    profile, name = icc.usable(_profile(found.get(b"iCCP")), "gray" if mode in ("1", "L", "LA") else "rgb")
    return Header("PNG", mode, bits, width, height, 1, orientation, profile, name, dpi)


def _profile(chunk: bytes | None) -> bytes | None:
    if not chunk:
        return None
    compressed = chunk.partition(b"\0")[2][1:]
    try:
        return zlib.decompressobj().decompress(compressed, MAX_PROFILE)
    except zlib.error:
        return None


def decode(path: Path, header: Header, page: int) -> Raster:
    """Every sample, or an exception. A file must reach its end chunk, though that holds no pixels: it was cut."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        name = b""
        for name, start, end in chunks(data):
            critical = not name[0] & 32
            if critical and zlib.crc32(data[start - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                raise Rejected("corrupt", f"checksum error in the PNG's {name!r} chunk: get a good copy of the file")
        if name != b"IEND":
            raise Rejected("truncated", "the PNG ends before its end chunk: get a complete copy of the file")
        samples = imagecodecs.png_decode(data)
    peak = 255 if samples.dtype == np.uint8 else 65535
    alpha = None
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    if channels in (2, 4):
        alpha, samples = samples[..., -1], samples[..., 0] if channels == 2 else samples[..., :3]
    return Raster(samples, "gray" if channels < 3 else "rgb", peak, alpha=alpha)
