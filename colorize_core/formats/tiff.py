"""TIFF and BigTIFF files: strips and tiles, one page of many, every usual compression, depth and color model."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError
from tifffile import TIFF, TiffFile, TiffPage

from colorize_core import icc
from colorize_core.formats import exif, pillow
from colorize_core.formats import jpeg as jpeg_stream
from colorize_core.header import Header, Rejected
from colorize_core.raster import Raster, full_range, strips, unmultiply

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
MODES = {
    WHITE_IS_ZERO: "L",
    BLACK_IS_ZERO: "L",
    RGB: "RGB",
    PALETTE: "P",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    CIELAB: "Lab",
    ICCLAB: "Lab",
}
CHANNELS = {"L": 1, "P": 1, "RGB": 3, "YCbCr": 3, "Lab": 3, "CMYK": 4}
FAX = {2, 3, 4}
GROUP4 = 4
FAX_LIBERTY, FAX_PADDING = 0.02, 8  # share and bytes by which the code of another writer may differ in length
OLD_JPEG, JPEG = 6, {7, 33007}
FILLING = {22610, 34934}  # JPEG XR: its decoder fills what is missing and says nothing
MAX_CHANNELS = 16
MAX_PAGES = 10_000
MAX_TILE = 64 << 20  # pixels
REDUCED_OR_MASK = 0b101


def pages(file: TiffFile) -> list[TiffPage]:
    """The pictures of a file: overviews, thumbnails and masks do not count."""
    every: list[TiffPage] = []
    seen = set()
    for page in file.pages:
        if page.offset in seen:  # the chain of pages bites its tail
            break
        if len(every) == MAX_PAGES:
            raise Rejected("unsupported", f"a TIFF of more than {MAX_PAGES:,} pages: split it")
        seen.add(page.offset)
        every.append(page.aspage())
    if any(50706 in page.tags for page in every):
        raise Rejected("unsupported", "a camera raw file (DNG): develop it and save the photo as TIFF")
    whole = [p for p in every if not p.subfiletype & REDUCED_OR_MASK and p.tags.valueof(255, 1) != 2]
    if not whole and any(330 in page.tags for page in every):
        raise Rejected("unsupported", "a camera raw file: develop it and save the photo as TIFF")
    return whole or every[:1]


def _page(file: TiffFile, page: int) -> tuple[TiffPage, int]:
    found = pages(file)
    if not found:
        raise Rejected("corrupt", "the TIFF has no readable page: get a good copy of the file")
    if not 0 <= page < len(found):
        raise Rejected("unsupported", f"page {page} of a TIFF of {len(found)} pages: pages count from 0")
    return found[page], len(found)


def header(path: Path, page: int) -> Header:
    _check_directory(path)
    with TiffFile(path) as file:
        ifd, count = _page(file, page)
        if not all(isinstance(length, int) for length in (ifd.imagewidth, ifd.imagelength, ifd.samplesperpixel)):
            raise Rejected("corrupt", "the TIFF's size is no number: get a good copy of the file")
        mode = _mode(ifd)
        tags = ifd.tags
        model = {"L": "gray", "LA": "gray", "1": "gray", "CMYK": "cmyk", "CMYKA": "cmyk"}.get(mode, "rgb")
        profile, name = icc.usable(tags.valueof(34675), model)
        return Header(
            "TIFF",
            mode,
            _bits(ifd),
            ifd.imagewidth,
            ifd.imagelength,
            count,
            exif.orientation(tags.valueof(274)),
            profile if model != "rgb" or "Lab" not in mode else None,
            name if model != "rgb" or "Lab" not in mode else None,
            exif.resolution(tags.valueof(282), tags.valueof(283), tags.valueof(296, 2)),
        )


def _check_directory(path: Path) -> None:
    """Raise unless the file holds all of its first directory."""
    with open(path, "rb") as file:
        start, size = file.read(16), path.stat().st_size
        order, big = ("<" if start[:2] == b"II" else ">"), start[2:4] in (b"+\0", b"\0+")
        offset, count = ("Q", "Q") if big else ("I", "H")
        try:
            (first,) = struct.unpack_from(order + offset, start, 8 if big else 4)
            file.seek(first)
            (tags,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
        except struct.error:
            raise Rejected("truncated", "the TIFF ends before its directory: get a complete copy of the file") from None
        if first + tags * (20 if big else 12) > size:
            raise Rejected("truncated", "the TIFF ends inside its directory: get a complete copy of the file")


def _bits(ifd: TiffPage) -> int:
    bits = ifd.bitspersample
    if isinstance(bits, tuple):
        if len(set(bits)) > 1:
            raise Rejected("unsupported", f"a TIFF of {bits} bits per channel: save all channels at one depth")
        bits = bits[0]
    return int(bits)


def _mode(ifd: TiffPage) -> str:
    photometric = ifd.photometric
    if 262 not in ifd.tags:
        photometric = RGB if ifd.samplesperpixel >= 3 else BLACK_IS_ZERO
    if photometric not in MODES:
        raise Rejected("unsupported", f"a TIFF of color model {photometric!r}: save it as gray, RGB, CMYK or Lab")
    mode = MODES[photometric]
    if photometric == CMYK and ifd.tags.valueof(332, 1) != 1:
        raise Rejected("unsupported", "a TIFF of inks other than CMYK: save it as gray, RGB or CMYK")
    colors = CHANNELS[mode]
    if not colors <= ifd.samplesperpixel <= MAX_CHANNELS:
        raise Rejected("unsupported", f"a {mode} TIFF of {ifd.samplesperpixel} channels: save it as gray or color")
    try:
        known = ifd.compression == 1 or bool(TIFF.DECOMPRESSORS[ifd.compression])
    except (KeyError, ValueError):
        known = ifd.compression == OLD_JPEG
    if not known or ifd.compression in FILLING:
        raise Rejected("unsupported", f"a TIFF compressed with method {int(ifd.compression)}: save it with another one")
    if ifd.imagedepth > 1:
        raise Rejected("unsupported", "a TIFF volume: save its slices as pages")
    if mode == "L" and _bits(ifd) == 1 and ifd.samplesperpixel == 1:
        return "1"
    extra = ifd.extrasamples
    return mode + "A" if extra and extra[0] in (1, 2) and mode in ("L", "RGB", "CMYK", "Lab") else mode


def decode(path: Path, header: Header, page: int) -> Raster:
    with TiffFile(path) as file:
        ifd, _ = _page(file, page)
        if _needs_libtiff(ifd):
            return _by_libtiff(path, ifd, header)
        samples = _samples(path, file, ifd)
        mode = header.mode
        color_map = ifd.colormap
        lab_is_signed = ifd.photometric == CIELAB
        inverted = ifd.photometric == WHITE_IS_ZERO and 262 in ifd.tags
        associated = bool(ifd.extrasamples) and ifd.extrasamples[0] == 1
        bits, kind = header.bits, int(ifd.sampleformat or 1)
    colors = CHANNELS["L" if mode in ("1", "LA") else mode.removesuffix("A")]
    alpha = samples[..., colors] if mode.endswith("A") else None
    samples = samples[..., 0] if colors == 1 else samples[..., :colors]
    if mode == "P":
        return _look_up(samples, color_map, bits)
    if header.model == "lab":
        return _lab(samples, lab_is_signed, bits, alpha)
    samples, peak = _unsigned(samples, bits, kind)
    if alpha is not None:
        alpha, _ = _unsigned(alpha, bits, kind)
        if associated:
            samples = unmultiply(samples, alpha, peak)
        alpha = full_range(alpha, peak)
    return Raster(samples, header.model, peak, inverted, alpha)


def _needs_libtiff(ifd: TiffPage) -> bool:
    """Whether tifffile says that it cannot: old-style JPEG, and YCbCr that no JPEG codec turns into RGB."""
    if ifd.compression == OLD_JPEG or ifd.compression in FAX:
        return True
    return ifd.photometric == YCBCR and ifd.compression not in JPEG


def _by_libtiff(path: Path, ifd: TiffPage, header: Header) -> Raster:
    try:
        image = Image.open(path, formats=("TIFF",))
    except UnidentifiedImageError:
        raise Rejected("unsupported", f"a TIFF compressed with {ifd.compression!r}: save it again") from None
    with image:
        image.seek(ifd.index)
        if image.size != (ifd.imagewidth, ifd.imagelength) or image.mode not in ("1", "L", "RGB", "YCbCr", "RGBA", "P"):
            raise Rejected("unsupported", f"a TIFF of {image.mode} with compression {ifd.compression!r}: save it again")
        _check_segments(path, ifd)
        image.load()
        samples = pillow.pixels(image)
    if ifd.compression in FAX and not _fax_is_sound(ifd, samples):
        raise Rejected("corrupt", "the fax-coded picture is damaged: get a good copy of the file")
    model = "gray" if samples.ndim == 2 else "rgb"
    return Raster(samples if samples.ndim == 2 else samples[..., :3], model, 255)


def _fax_is_sound(ifd: TiffPage, samples: np.ndarray) -> bool:
    """Whether a second decoder sees the same picture, and Group 4 code of that picture is as long as what is stored.

    Decoders patch up damaged fax lines with white and say nothing, each in its way. Group 4 code follows from the
    picture but for small liberties; what was filled in takes hardly any.
    """
    black = (samples > 127) != (ifd.photometric == WHITE_IS_ZERO)  # as fax code has it: what is not 0
    try:
        if not np.array_equal(ifd.asarray().astype(bool), black):
            return False
    except (ValueError, NotImplementedError):  # a dialect that only libtiff speaks
        pass
    if ifd.compression != GROUP4 or ifd.is_tiled:
        return True
    for strip, stored in enumerate(ifd.databytecounts):
        again = _group4_length(black[strip * ifd.rowsperstrip : (strip + 1) * ifd.rowsperstrip])
        if abs(stored - again) > FAX_LIBERTY * stored + FAX_PADDING:
            return False
    return True


def _group4_length(black: np.ndarray) -> int:
    """Bytes of the Group 4 code of a bilevel picture."""
    sink = io.BytesIO()
    Image.fromarray(black).save(sink, "TIFF", compression="group4", tiffinfo={278: black.shape[0]})
    sink.seek(0)
    with TiffFile(sink) as file:
        return sum(file.pages.first.databytecounts)


def _check_segments(path: Path, ifd: TiffPage) -> int:
    """Raise unless every strip or tile lies in the file; their number."""
    size, needed = path.stat().st_size, math.prod(ifd.chunked)
    offsets, counts = ifd.dataoffsets, ifd.databytecounts
    if len(offsets) < needed or len(counts) < needed:
        raise Rejected("truncated", f"the TIFF lists {len(offsets)} of {needed} strips or tiles: get a complete copy")
    for offset, count in zip(offsets[:needed], counts[:needed], strict=True):
        if offset <= 0 or count <= 0:
            raise Rejected("truncated", "strips or tiles of the TIFF were never written: get a complete copy")
        if offset + count > size:
            raise Rejected("truncated", "strips or tiles of the TIFF lie past its end: get a complete copy")
    return needed


def _samples(path: Path, file: TiffFile, ifd: TiffPage) -> np.ndarray:
    """All samples as stored, (H, W, C) in native byte order; mapped from the file where it holds them as they are."""
    if ifd.dtype is None or ifd.dtype.kind not in "uifb":
        raise Rejected("unsupported", f"a TIFF of {ifd.bitspersample} bit samples: save it at 8 or 16 bits per channel")
    if ifd.is_contiguous and ifd.fillorder == 1 and ifd.predictor == 1:
        offset = ifd.dataoffsets[0]
        if offset <= 0 or offset + ifd.nbytes > path.stat().st_size:
            raise Rejected("truncated", "the TIFF ends inside its picture: get a complete copy of the file")
        kind = np.dtype(ifd.parent.byteorder + ifd.dtype.char)
        out: np.ndarray = np.memmap(path, kind, "r", offset, ifd.shaped)
    else:
        out = _segments(path, file, ifd)
    out = out[:, 0]  # depth
    return np.moveaxis(out[..., 0], 0, -1) if out.shape[0] > 1 else out[0]


def _segments(path: Path, file: TiffFile, ifd: TiffPage) -> np.ndarray:
    needed = _check_segments(path, ifd)
    if ifd.is_tiled and ifd.tilewidth * ifd.tilelength > max(MAX_TILE, 4 * ifd.imagewidth * ifd.imagelength):
        raise Rejected("corrupt", "tiles far larger than the picture: export the photo again")
    out = np.empty(ifd.shaped, ifd.dtype)
    segment: Any  # tifffile types it loosely
    read: Any = file.filehandle.read_segments(ifd.dataoffsets, ifd.databytecounts, length=needed)
    jpeg = ifd.compression in JPEG
    tables = {"jpegtables": ifd.jpegtables, "jpegheader": ifd.jpegheader} if jpeg else {}
    for data, index in read:
        if jpeg:
            _, (plane, depth, top, left, _), shape = ifd.decode(None, index, **tables)
            segment = _jpeg_segment(data, ifd, shape)
        else:
            segment, (plane, depth, top, left, _), shape = ifd.decode(data, index)
            segment = segment[0]
        target = out[plane, depth, top : top + shape[1], left : left + shape[2]]
        segment = segment[: target.shape[0], : target.shape[1]]
        if segment.shape != target.shape:
            raise Rejected("corrupt", "a strip or tile of another size than the TIFF says: export the photo again")
        target[...] = segment
    return out


def _jpeg_segment(data: bytes, ifd: TiffPage, shape: tuple[int, ...]) -> np.ndarray:
    """One strip or tile of a JPEG TIFF as (h, w, C).

    The stream is completed with the file's tables and, unless it carries a marker of its own, with one that says
    whether its colors are RGB or YCbCr; then it is decoded as strictly as a JPEG file.
    """
    tables = bytes(ifd.jpegtables or b"")
    start = b"\xff\xd8"
    if b"JFIF" not in data[:32] and b"Adobe" not in data[:64] and ifd.planarconfig == 1 and ifd.samplesperpixel == 3:
        start += b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([ifd.photometric == YCBCR])
    stream = start + tables[2:-2] + bytes(data[2:])
    parsed = jpeg_stream.parse(stream)
    if parsed.width < min(shape[2], ifd.imagewidth) or parsed.width > shape[2] + 64 or parsed.height > shape[1] + 64:
        raise Rejected("corrupt", "JPEG strips of another size than the TIFF says: export the photo again")
    jpeg_stream.check_scans(stream, parsed)
    if parsed.precision == 8 and len(parsed.components) in (1, 3, 4):
        samples = simplejpeg.decode_jpeg(stream, {1: "GRAY", 3: "RGB", 4: "CMYK"}[len(parsed.components)], strict=True)
    else:
        samples = jpeg_stream.pixels(stream, parsed)
    return samples if samples.ndim == 3 else samples[..., None]


def _unsigned(samples: np.ndarray, bits: int, kind: int) -> tuple[np.ndarray, int]:
    """Samples as uint8 or uint16 and their peak.

    32-bit integers keep their upper 16 bits. Floating point runs from 0 to 1; where a picture leaves that range, and
    for signed integers, its own darkest and lightest values become black and white.
    """
    if samples.dtype == np.bool_:
        return samples.view(np.uint8), 1
    if samples.dtype.kind == "u" and samples.dtype.itemsize <= 2:
        native = samples.dtype.newbyteorder("=")
        return (samples if samples.dtype.isnative else samples.astype(native)), (1 << bits) - 1
    out = np.empty(samples.shape, np.uint16)
    if samples.dtype.kind == "u":
        for rows in strips(samples.shape):
            out[rows] = samples[rows] >> max(bits - 16, 0)
        return out, (1 << min(bits, 16)) - 1
    low, high = 0.0, 1.0
    ranges = [(np.nanmin(part), np.nanmax(part)) for part in (samples[rows] for rows in strips(samples.shape))]
    darkest, lightest = float(min(r[0] for r in ranges)), float(max(r[1] for r in ranges))
    if samples.dtype.kind == "i" or darkest < low or lightest > high:
        low, high = darkest, lightest
    for rows in strips(samples.shape):
        unit = (samples[rows].astype(np.float64) - low) / max(high - low, 1e-30)
        out[rows] = np.clip(np.nan_to_num(unit), 0, 1) * 65535 + 0.5
    return out, 65535


def _lab(samples: np.ndarray, signed: bool, bits: int, alpha: np.ndarray | None) -> Raster:
    """CIELab keeps a and b as signed numbers, ICCLab with an offset; 16-bit ICCLab has L = 100 at 65280."""
    if bits not in (8, 16) or samples.dtype.kind not in "ui":
        raise Rejected("unsupported", f"a Lab TIFF of {bits} bits: save it at 8 or 16 bits per channel")
    out = np.ascontiguousarray(samples).astype(np.uint8 if bits == 8 else np.uint16, copy=True)
    if signed:
        np.bitwise_xor(out[..., 1:], 1 << (bits - 1), out=out[..., 1:])
    full = (1 << bits) - 1
    return Raster(out, "lab", full if signed or bits == 8 else 65280, alpha=alpha)


def _look_up(indices: np.ndarray, color_map: np.ndarray | None, bits: int) -> Raster:
    """Palette colors in place of their numbers: gray when all of them are, else RGB; 8 bits."""
    if color_map is None or indices.dtype.kind != "u" or color_map.shape[-1] < (1 << bits):
        raise Rejected("corrupt", "the TIFF's palette is missing or too short: export the photo again")
    table = color_map.T.astype(np.uint16)
    table = (table if table.max() < 256 else table >> 8).astype(np.uint8)  # old writers put 8-bit values there
    if (table == table[:, :1]).all():
        return Raster(table[:, 0][indices], "gray", 255)
    return Raster(table[indices], "rgb", 255)
