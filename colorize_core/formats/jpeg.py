"""JPEG files: baseline, progressive, 12 bit and lossless; gray, color and CMYK."""

from __future__ import annotations

import io
import mmap
from dataclasses import dataclass, field
from pathlib import Path

import imagecodecs
import numpy as np
import simplejpeg
from PIL import Image

from colorize_core import icc, kernels
from colorize_core.formats import exif
from colorize_core.header import Header, Rejected
from colorize_core.raster import Raster

MAX_SCANS = 256  # a progressive file needs about ten; each one costs a pass over the whole picture
PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}


@dataclass
class Stream:
    """What the markers before the first scan say."""

    process: int = 0  # the SOF marker
    precision: int = 0
    width: int = 0
    height: int = 0
    components: list[int] = field(default_factory=list)  # their ids
    density: tuple[int, int, int] | None = None  # JFIF unit, x, y
    adobe: int | None = None  # Adobe's color transform: 0 none, 1 YCbCr, 2 YCCK
    exif: bytes | None = None
    icc: bytes | None = None
    scan: int = 0  # where the first scan's marker is

    @property
    def mode(self) -> str:
        try:
            return {1: "L", 3: "RGB", 4: "CMYK"}[len(self.components)]
        except KeyError:
            raise Rejected(
                "unsupported", f"a JPEG of {len(self.components)} components: save it as gray, RGB or CMYK"
            ) from None


def _segment(data: bytes | mmap.mmap, position: int) -> tuple[int, int]:
    """First byte and end of the marker segment whose length field is at ``position``."""
    length = int.from_bytes(data[position : position + 2], "big")
    if position + 2 > len(data) or position + length > len(data):
        raise Rejected("truncated", "the JPEG ends inside its header: get a complete copy of the file")
    if length < 2:
        raise Rejected("corrupt", "a JPEG marker has no length: scan or export the photo again")
    return position + 2, position + length


def _next_marker(data: bytes | mmap.mmap, start: int) -> int:
    """Where the code of the next marker is; -1 when there is none. Nothing holds on to the mapped file afterwards."""
    return kernels.next_jpeg_marker(np.frombuffer(data, np.uint8), start)


def parse(data: bytes | mmap.mmap) -> Stream:
    """Read the markers up to the first scan."""
    stream, parts, position = Stream(), {}, 2
    while True:
        found = _next_marker(data, position)
        if found < 0:
            raise Rejected("truncated", "the JPEG ends before its picture starts: get a complete copy of the file")
        marker, position = data[found], found + 1
        if marker == 0x01 or marker == 0xD8:
            continue
        if marker == 0xD9:
            raise Rejected("truncated", "the JPEG holds no picture: get a complete copy of the file")
        start, end = _segment(data, position)
        body, position = data[start:end], end
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if stream.process:
                raise Rejected("corrupt", "the JPEG has two frame headers: scan or export the photo again")
            if len(body) < 6 or len(body) < 6 + 3 * body[5]:
                raise Rejected("corrupt", "the JPEG's frame header is broken: scan or export the photo again")
            stream.process, stream.precision = marker, body[0]
            stream.height, stream.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            stream.components = list(body[6 : 6 + 3 * body[5] : 3])
        elif marker == 0xE0 and body[:5] == b"JFIF\0" and len(body) >= 12:
            stream.density = body[7], int.from_bytes(body[8:10], "big"), int.from_bytes(body[10:12], "big")
        elif marker == 0xE1 and body[:6] == b"Exif\0\0" and stream.exif is None:
            stream.exif = bytes(body)
        elif marker == 0xE2 and body[:12] == b"ICC_PROFILE\0" and len(body) > 14:
            parts[body[12]] = bytes(body[14:])
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            stream.adobe = body[11]
        elif marker == 0xDA:
            if not stream.process:
                raise Rejected("corrupt", "the JPEG's picture comes before its header: scan or export the photo again")
            stream.scan = found - 1
            stream.icc = b"".join(parts[i] for i in sorted(parts)) or None
            return stream


def check_scans(data: bytes | mmap.mmap, stream: Stream) -> None:
    """Raise unless the stream runs to its end marker and its scans give every component every coefficient.

    The decoders fill what a missing scan would have brought with flat gray, and say nothing.
    """
    progressive = stream.process in PROGRESSIVE
    missing = {c: set(range(64 if progressive else 1)) for c in stream.components}
    position, scans = stream.scan, 0
    while True:
        found = _next_marker(data, position)
        if found < 0:
            raise Rejected("truncated", "the JPEG ends before its end marker: get a complete copy of the file")
        marker, position = data[found], found + 1
        if marker == 0xD9:
            break
        if marker == 0x01:
            continue
        start, position = _segment(data, position)
        if marker != 0xDA:
            continue
        scans += 1
        if scans > MAX_SCANS:
            raise Rejected("unsupported", f"a JPEG of more than {MAX_SCANS} scans: save it again")
        count = data[start]
        ids = data[start + 1 : start + 1 + 2 * count : 2]
        first, last, shifts = data[start + 1 + 2 * count : start + 4 + 2 * count]
        for component in ids:
            if not progressive:
                missing.pop(component, None)
            elif shifts & 15 == 0 and component in missing:
                missing[component] -= set(range(first, last + 1))
    if any(missing.values()):
        raise Rejected("truncated", "scans are missing from the JPEG: get a complete copy of the file")


def header(path: Path, page: int) -> Header:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        stream = parse(data)
    orientation, dpi = exif.orientation_and_dpi(stream.exif)
    if stream.density and stream.density[0] in (1, 2):
        unit, x, y = stream.density
        dpi = exif.resolution(x, y, unit + 1) or dpi
    profile, name = icc.usable(stream.icc, {"L": "gray", "RGB": "rgb", "CMYK": "cmyk"}[stream.mode])
    return Header(
        "JPEG", stream.mode, stream.precision, stream.width, stream.height, 1, orientation, profile, name, dpi
    )


def decode(path: Path, header: Header, page: int) -> Raster:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        stream = parse(data)
        check_scans(data, stream)
        samples = pixels(data, stream)
    peak = 255 if samples.dtype == np.uint8 and stream.precision >= 8 else (1 << stream.precision) - 1
    model = {"L": "gray", "RGB": "rgb", "CMYK": "cmyk"}[stream.mode]
    return Raster(samples, model, peak, inverted=model == "cmyk" and stream.adobe is not None)


def pixels(data: bytes | mmap.mmap, stream: Stream) -> np.ndarray:
    """Decode a whole stream: (H, W) or (H, W, C), uint8 or uint16, CMYK as stored. Raises on any doubt.

    12-bit and lossless streams of more than 8 bits go to a decoder that does not report damage inside a scan; a missing
    end is found beforehand by :func:`check_scans`.
    """
    if stream.precision == 8:
        samples = _turbo(data, {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}[stream.mode])
    else:
        samples = imagecodecs.jpeg_decode(bytes(data))
    return samples[..., 0] if samples.ndim == 3 and samples.shape[-1] == 1 else samples


def _turbo(data: bytes | mmap.mmap, colorspace: str) -> np.ndarray:
    try:
        return simplejpeg.decode_jpeg(data, colorspace, strict=True)
    except ValueError as error:
        if "Invalid SOS parameters" in str(error):  # some writers leave zeros there, which harms nothing
            return simplejpeg.decode_jpeg(data, colorspace, strict=False)
        if "subsampling" not in str(error):
            raise
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:  # a sampling that only the turbo API refuses
        samples = np.asarray(image if image.mode != "YCbCr" else image.convert("RGB"))
        return 255 - samples if image.mode == "CMYK" else samples
