"""What a photo says about itself, carried over to its color derivative, and the label that says who colored it."""

from __future__ import annotations

import io
import logging
import math
import struct
import warnings
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from colorize_core import exif as ex
from colorize_core import xmp

log = logging.getLogger(__name__)

SOURCE_TYPES = tuple(
    f"http://cv.iptc.org/newscodes/digitalsourcetype/{term}"
    for term in ("compositeWithTrainedAlgorithmicMedia", "algorithmicallyEnhanced")
)
LARGEST = 4 << 20  # bytes of one kind of metadata that are carried

Part = tuple[str, bytes | tuple[float, float]]


@dataclass(frozen=True)
class Metadata:
    """What a file says about its photograph.

    exif: a TIFF structure without the ``Exif`` prefix. xmp: a packet. iptc: IIM records, unwrapped. dpi: horizontal and
    vertical dots per inch of the pixels as stored. Each is None when missing.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None


@dataclass(frozen=True)
class Label:
    """The mark of a machine-colored picture, in the words of IPTC Photo Metadata 2025.1.

    digital_source_type: one of ``SOURCE_TYPES``. system: what colored it. version: of the program and the model.
    """

    digital_source_type: str = SOURCE_TYPES[0]
    system: str = "Autochrome"
    version: str = ""

    def __post_init__(self):
        if self.digital_source_type not in SOURCE_TYPES:
            raise ValueError(f"digital_source_type must be one of {', '.join(SOURCE_TYPES)}")


def _take(file: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes; EOFError when there are fewer, and nothing is read that is too large to carry."""
    data = file.read(min(size, 4 * LARGEST))
    if len(data) < size:
        raise EOFError("the file ends early, or a part of it is too large")
    return data


def _jpeg(file: BinaryIO) -> Iterator[Part]:
    _take(file, 2)
    while True:
        marker = _take(file, 2)
        while marker[1] == 0xFF:
            marker = marker[1:] + _take(file, 1)
        if marker[0] != 0xFF or marker[1] in (0xD9, 0xDA):
            return
        if marker[1] in range(0xD0, 0xD8) or marker[1] == 0x01:
            continue
        body = _take(file, struct.unpack(">H", _take(file, 2))[0] - 2)
        name, _, rest = body.partition(b"\0")
        if marker[1] == 0xE0 and name == b"JFIF" and len(rest) >= 7:
            unit = {1: 1.0, 2: 2.54}.get(rest[2])
            if unit:
                x, y = struct.unpack_from(">HH", rest, 3)
                yield "dpi", (x * unit, y * unit)
        elif marker[1] == 0xE1 and name == b"Exif":
            yield "exif", rest[1:]
        elif marker[1] == 0xE1 and name == b"http://ns.adobe.com/xap/1.0/":
            yield "xmp", rest
        elif marker[1] == 0xE1 and name == b"http://ns.adobe.com/xmp/extension/" and len(rest) > 40:
            yield "extended", rest
        elif marker[1] == 0xED and name == b"Photoshop 3.0":
            yield "resources", rest


def _png(file: BinaryIO) -> Iterator[Part]:
    _take(file, 8)
    while True:
        size, kind = struct.unpack(">I4s", _take(file, 8))
        if kind not in (b"eXIf", b"pHYs", b"iTXt", b"zTXt", b"tEXt") or size > LARGEST:
            file.seek(size + 4, io.SEEK_CUR)
            continue
        body = _take(file, size)
        file.seek(4, io.SEEK_CUR)
        keyword, _, rest = body.partition(b"\0")
        if kind == b"eXIf":
            yield "exif", body.removeprefix(b"Exif\0\0")
        elif kind == b"pHYs" and size == 9 and body[8] == 1:
            x, y = struct.unpack_from(">II", body)
            yield "dpi", (x * 0.0254, y * 0.0254)
        elif kind == b"iTXt" and keyword == b"XML:com.adobe.xmp":
            text = rest[2:].split(b"\0", 2)[2]
            yield "xmp", _inflate(text) if rest[0] else text
        elif kind in (b"zTXt", b"tEXt") and keyword.startswith(b"Raw profile type "):
            text = _inflate(rest[1:]) if kind == b"zTXt" else rest
            data = bytes.fromhex(text.split(b"\n", 3)[3].decode("ascii"))
            if data.startswith(b"Exif\0\0"):
                yield "exif", data[6:]
            elif data.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
                yield "xmp", data[29:]
            elif keyword.endswith(b" xmp"):
                yield "xmp", data
            elif keyword.endswith(b" iptc"):
                yield ("iptc" if data.startswith(b"\x1c") else "resources"), data.removeprefix(b"Photoshop 3.0\0")


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, 2 * LARGEST)
    if inflater.unconsumed_tail:
        raise ValueError("compressed text is too large")
    return text


def _tiff(file: BinaryIO, page: int = 0) -> Iterator[Part]:
    layout, offset = ex.open_tiff(file)
    for _ in range(page):
        _, offset = ex.read_directory(file, layout, offset, ())
    kinds = {700: "xmp", 33723: "iptc", 34377: "resources"}
    tags, _ = ex.read_directory(file, layout, offset, kinds, LARGEST)
    for number, kind in kinds.items():
        if number in tags:
            raw = tags[number].raw
            if number == 33723 and raw[:1] != b"\x1c" and raw[3:4] == b"\x1c":  # written as 32-bit integers
                raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
            yield kind, raw
    carried = ex.Exif.read(file, page)
    for number in (ex.IMAGE_WIDTH, ex.IMAGE_LENGTH):
        carried.main.pop(number, None)
    yield "exif", carried.tobytes()


def _webp(file: BinaryIO) -> Iterator[Part]:
    _take(file, 12)
    while True:
        kind, size = struct.unpack("<4sI", _take(file, 8))
        if kind in (b"EXIF", b"XMP ") and size <= LARGEST:
            body = _take(file, size)
            yield ("xmp", body) if kind == b"XMP " else ("exif", body.removeprefix(b"Exif\0\0"))
            file.seek(size % 2, io.SEEK_CUR)
        else:
            file.seek(size + size % 2, io.SEEK_CUR)


def _psd(file: BinaryIO) -> Iterator[Part]:
    file.seek(26)
    file.seek(struct.unpack(">I", _take(file, 4))[0], io.SEEK_CUR)
    yield "resources", _take(file, struct.unpack(">I", _take(file, 4))[0])


def _jpeg2000(file: BinaryIO) -> Iterator[Part]:
    while True:
        size, kind = struct.unpack(">I4s", _take(file, 8))
        size = struct.unpack(">Q", _take(file, 8))[0] - 16 if size == 1 else size - 8
        if kind != b"uuid" or not 16 <= size <= LARGEST:
            if size < 0:
                return
            file.seek(size, io.SEEK_CUR)
            continue
        name, body = _take(file, 16), _take(file, size - 16)
        if name == bytes.fromhex("be7acfcb97a942e89c71999491e3afac"):
            yield "xmp", body
        elif name == b"JpgTiffExif->JP2":
            yield "exif", body.removeprefix(b"Exif\0\0")
        elif name == bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"):
            yield "iptc", body


def _pillow(file: BinaryIO) -> Iterator[Part]:
    largest, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # only the header is read
    try:
        with warnings.catch_warnings(action="ignore"):
            info = Image.open(file).info
    finally:
        Image.MAX_IMAGE_PIXELS = largest
    for kind in ("exif", "xmp"):
        if isinstance(value := info.get(kind), bytes):
            yield kind, value.removeprefix(b"Exif\0\0")
    if "dpi" in info:
        yield "dpi", info["dpi"]


READERS: dict[str, Callable[[BinaryIO], Iterator[Part]]] = {
    "jpeg": _jpeg,
    "mpo": _jpeg,
    "png": _png,
    "tiff": _tiff,
    "webp": _webp,
    "psd": _psd,
    "jpeg2000": _jpeg2000,
    "jp2": _jpeg2000,
}


def _resources(data: bytes) -> Iterator[Part]:
    """The parts that are kept in Photoshop's image resources (8BIM blocks)."""
    at = 0
    while data[at : at + 4] == b"8BIM":
        number, name = struct.unpack_from(">HB", data, at + 4)
        at += 6 + (name + 2) // 2 * 2
        (size,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 4 + size]
        at += 4 + size + size % 2
        if kind := {0x0404: "iptc", 0x0422: "exif", 0x0424: "xmp"}.get(number):
            yield kind, body
        elif number == 0x03ED and size >= 12:
            x, y = struct.unpack(">I4xI", body[:12])
            yield "dpi", (x / 65536, y / 65536)


def _iim(data: bytes) -> bytes | None:
    """The IIM records at the start of ``data``, up to the first broken one; None when there are none."""
    at = 0
    while data[at : at + 1] == b"\x1c" and at + 5 <= len(data):
        (size,) = struct.unpack_from(">H", data, at + 3)
        head = 5
        if size & 0x8000:
            head += size & 0x7FFF
            size = int.from_bytes(data[at + 5 : at + head], "big")
        if at + head + size > len(data):
            break
        at += head + size
    return data[:at] or None


def _packet(parts: dict[str, list]) -> bytes | None:
    """The first sound XMP packet, joined with its extension as JPEG has it."""
    for data in parts["xmp"]:
        try:
            packet = xmp.Packet(data)
        except ValueError as error:
            log.debug("dropped: %s", error)
            continue
        guid = packet.get(f"{{{xmp.XMP_NOTE}}}HasExtendedXMP")
        chunks = [c for c in parts["extended"] if guid and c[:32] == guid.encode()]
        if chunks:
            try:
                chunks.sort(key=lambda chunk: chunk[36:40])
                packet.extend(xmp.Packet(b"".join(chunk[40:] for chunk in chunks)))
                packet.remove([f"{{{xmp.XMP_NOTE}}}HasExtendedXMP"])
                return packet.tobytes()
            except ValueError as error:
                log.debug("dropped: %s", error)
        return data
    return None


def _sound_dpi(dpi: Any) -> tuple[float, float] | None:
    try:
        x, y = map(float, dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(math.isfinite(v) and 1 <= v <= 100_000 for v in (x, y)) else None


def read_metadata(path: Path, format: str, page: int = 0) -> Metadata:
    """Metadata of an image file, without decoding a pixel of it.

    ``format`` is Pillow's name of the format, in any case ("JPEG", "TIFF", ...), ``page`` counts from 0 and matters for
    TIFF. Never raises: whatever is missing, broken or larger than 4 MiB is left out.
    """
    parts: dict[str, list] = defaultdict(list)

    def collect(found: Iterator[Part]) -> None:
        room = 4 * LARGEST
        try:
            for kind, value in found:
                room -= len(value)
                if room < 0:
                    raise ValueError("there is too much of it")
                if len(value) <= LARGEST or kind == "resources":
                    parts[kind].append(value)
        except Exception as error:  # lenient on purpose: any decoder may meet anything
            log.debug("metadata of %s read in part: %s", path, error)

    try:
        with open(path, "rb") as file:
            name = format.lower()
            collect(_tiff(file, page) if name == "tiff" else READERS.get(name, _pillow)(file))
    except OSError as error:
        log.debug("metadata of %s not read: %s", path, error)
    collect(_resources(b"".join(parts["resources"])))

    sound = None
    for data in parts["exif"]:
        try:
            sound = ex.Exif.read(data)
            break
        except ValueError as error:
            log.debug("dropped: %s", error)
    block = sound.tobytes() if sound else b""
    resolutions = [*parts["dpi"], sound and sound.dpi]
    return Metadata(
        exif=block if 0 < len(block) <= LARGEST else None,
        xmp=_packet(parts),
        iptc=next(filter(None, map(_iim, parts["iptc"])), None),
        dpi=next(filter(None, map(_sound_dpi, resolutions)), None),
    )


def derive(metadata: Metadata, label: Label, width: int, height: int, source: str = "", sha256: str = "") -> Metadata:
    """Metadata of the derivative: what stays true of ``metadata``, and the label.

    The derivative is upright, sRGB and ``width`` x ``height`` pixels; EXIF, XMP and resolution say so. Thumbnails show
    the gray picture and are dropped; so is the MakerNote (see ``Exif``). ``source`` (the key of the scan) and
    ``sha256`` (its digest, hex) are written as what the picture is derived from. Every other field is left as it was.
    """
    block, dpi = None, metadata.dpi
    if metadata.exif:
        carried = ex.Exif.read(metadata.exif)
        if dpi and carried.orientation > 4:
            dpi = dpi[::-1]
        carried.correct(width, height)
        block = carried.tobytes()
    try:
        packet = xmp.Packet(metadata.xmp)
    except ValueError:
        packet = xmp.Packet()
    earlier = {name: packet.get(f"{{{xmp.XMP_MM}}}{name}") for name in ("DocumentID", "InstanceID")}
    packet.remove(xmp.OF_THE_FILE)
    properties: dict = {
        f"{{{xmp.IPTC_EXT}}}DigitalSourceType": label.digital_source_type,
        f"{{{xmp.IPTC_EXT}}}AISystemUsed": label.system,
        f"{{{xmp.IPTC_EXT}}}AISystemVersionUsed": label.version,
        f"{{{xmp.TIFF}}}Orientation": "1",
    }
    if source:
        document = earlier["DocumentID"] or (sha256 and f"sha256:{sha256}")
        origin = {"filePath": source, "documentID": document, "instanceID": earlier["InstanceID"]}
        packet.remove([f"{{{xmp.XMP_MM}}}InstanceID"])
        properties[f"{{{xmp.XMP_MM}}}DerivedFrom"] = {f"{{{xmp.REFERENCE}}}{n}": v for n, v in origin.items() if v}
    packet.add({name: value for name, value in properties.items() if value})
    return replace(metadata, exif=block, xmp=packet.tobytes(), dpi=dpi)
