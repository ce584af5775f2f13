"""EXIF as a small tree of tags: read from a TIFF structure, corrected for a derivative, written back.

Values are kept as the raw bytes they were stored in, in the byte order they were stored in, so a tag that nobody here
knows survives as it is.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Container
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO, Literal, NamedTuple

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296
RESOLUTION = (X_RESOLUTION, Y_RESOLUTION)
IMAGE_WIDTH, IMAGE_LENGTH = 256, 257
EXIF_IFD, GPS_IFD = 34665, 34853
COLOR_SPACE, PIXEL_X, PIXEL_Y = 40961, 40962, 40963

# What the first directory may say about a photograph. The rest of it describes how the source's pixels are stored.
DESCRIPTIVE = frozenset(
    (IMAGE_WIDTH, IMAGE_LENGTH, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)
    + (269, 270, 271, 272, 285, 305, 306, 315, 316, 33432)  # document, description, make, ..., artist, copyright
    + (18246, 18249, 40091, 40092, 40093, 40094, 40095)  # rating, and title to subject as Windows writes them
)
GEOREFERENCE = frozenset((33550, 33922, 34264, 34735, 34736, 34737))  # GeoTIFF: true of upright pixels only
CARRIED = DESCRIPTIVE | GEOREFERENCE
# Coding, gamma and interoperability of the source; where its subject lies; MakerNote (see Exif).
NOT_CARRIED = frozenset((37121, 37122, 42240, 40965, 37396, 41492, 37500))

LARGEST_VALUE = 32 << 10
MOST_TAGS = 1000
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
SHORT, LONG, RATIONAL, LONG8 = 3, 4, 5, 16
BIG_ONLY = frozenset((16, 17, 18))  # types that only BigTIFF has


class Tag(NamedTuple):
    """A tag's TIFF type, how many values of that type, and their bytes."""

    type: int
    length: int
    raw: bytes


def short(order: str, *values: int) -> Tag:
    return Tag(SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values))


def long(order: str, *values: int) -> Tag:
    return Tag(LONG, len(values), struct.pack(f"{order}{len(values)}I", *values))


def rational(order: str, value: float) -> Tag:
    """A positive number below 400,000 as a fraction."""
    fraction = Fraction(value).limit_denominator(10_000)
    return Tag(RATIONAL, 1, struct.pack(order + "II", fraction.numerator, fraction.denominator))


class Layout(NamedTuple):
    """How a directory is laid out: byte order and struct codes of counts and offsets; classic TIFF or BigTIFF."""

    order: Literal["<", ">"]
    counts: str
    offset: str

    @property
    def inline(self) -> int:
        """Bytes of a value that is kept in its entry."""
        return struct.calcsize("=" + self.offset)

    def pointer(self, *offsets: int) -> Tag:
        """A tag that holds places in the file."""
        raw = struct.pack(f"{self.order}{len(offsets)}{self.offset}", *offsets)
        return Tag(LONG if self.offset == "I" else LONG8, len(offsets), raw)

    def header(self, first: int) -> bytes:
        """Start of a file whose first directory is at ``first``."""
        head = b"II" if self.order == "<" else b"MM"
        if self.offset == "I":
            return head + struct.pack(self.order + "HI", 42, first)
        return head + struct.pack(self.order + "HHHQ", 43, 8, 0, first)

    def unpack(self, file: BinaryIO, codes: str) -> tuple:
        size = struct.calcsize(self.order + codes)
        return struct.unpack(self.order + codes, file.read(size))


def classic(order: Literal["<", ">"]) -> Layout:
    return Layout(order, "H", "I")


def big(order: Literal["<", ">"]) -> Layout:
    return Layout(order, "Q", "Q")


def open_tiff(file: BinaryIO) -> tuple[Layout, int]:
    """Layout and offset of the first directory of a TIFF or BigTIFF structure; ValueError if it is neither."""
    file.seek(0)
    orders: dict[bytes, Literal["<", ">"]] = {b"II": "<", b"MM": ">"}
    order = orders.get(file.read(2))
    if order is None:
        raise ValueError("not a TIFF structure")
    (magic,) = struct.unpack(order + "H", file.read(2))
    if magic == 43:
        file.seek(8)
        return big(order), big(order).unpack(file, "Q")[0]
    if magic != 42:
        raise ValueError("not a TIFF structure")
    return classic(order), classic(order).unpack(file, "I")[0]


def read_directory(
    file: BinaryIO, layout: Layout, offset: int, wanted: Container[int] | None = None, largest: int = LARGEST_VALUE
) -> tuple[dict[int, Tag], int]:
    """Tags of the directory at ``offset``, all or those ``wanted``, and the offset of the next one (0: none).

    A tag whose type is unknown, or whose value lies outside the file or is larger than ``largest`` bytes, is left out.
    ValueError when no directory can be at ``offset``.
    """
    if offset < 8:
        raise ValueError("there is no such directory")
    file.seek(offset)
    (count,) = layout.unpack(file, layout.counts)
    count = min(count, MOST_TAGS)
    width = 4 + 2 * layout.inline
    entries = file.read(count * width)
    try:
        (following,) = layout.unpack(file, layout.offset)
    except struct.error:
        following = 0
    tags = {}
    for at in range(0, len(entries) - width + 1, width):
        number, kind, values = struct.unpack_from(f"{layout.order}HH{layout.offset}", entries, at)
        raw = entries[at + width - layout.inline : at + width]
        size = SIZES.get(kind, 0) * values
        if not 0 < size <= largest or (wanted is not None and number not in wanted):
            continue
        if size > layout.inline:
            file.seek(struct.unpack(layout.order + layout.offset, raw)[0])
            raw = file.read(size)
        if len(raw) >= size:
            tags[number] = Tag(kind, values, raw[:size])
    return tags, following


def write_directory(tags: dict[int, Tag], layout: Layout, at: int) -> bytes:
    """Bytes of a directory that will stand at offset ``at``, its values behind it and no next directory."""
    entries, values = [struct.pack(layout.order + layout.counts, len(tags))], []
    end = at + struct.calcsize("=" + layout.counts) + len(tags) * (4 + 2 * layout.inline) + layout.inline
    for number in sorted(tags):
        kind, count, raw = tags[number]
        if len(raw) > layout.inline:
            raw += b"\0" * (len(raw) % 2)
            values.append(raw)
            raw = struct.pack(layout.order + layout.offset, end)
            end += len(values[-1])
        entries.append(struct.pack(f"{layout.order}HH{layout.offset}", number, kind, count))
        entries.append(raw.ljust(layout.inline, b"\0"))
    entries.append(struct.pack(layout.order + layout.offset, 0))
    return b"".join(entries + values)


def write_tree(main: dict[int, Tag], detail: dict[int, Tag], gps: dict[int, Tag], layout: Layout, at: int) -> bytes:
    """Bytes of the main directory at offset ``at``, and of those it points to behind it; empty ones are left out."""
    inner = {pointer: tags for pointer, tags in ((EXIF_IFD, detail), (GPS_IFD, gps)) if tags}
    main = main | dict.fromkeys(inner, layout.pointer(0))
    end = at + len(write_directory(main, layout, at))
    blocks = []
    for pointer, tags in inner.items():
        main[pointer] = layout.pointer(end)
        blocks.append(write_directory(tags, layout, end))
        end += len(blocks[-1])
    return write_directory(main, layout, at) + b"".join(blocks)


@dataclass
class Exif:
    """The three directories of EXIF that describe a photograph.

    The thumbnail is not among them, and neither is the MakerNote: cameras write offsets into it that are wrong as
    soon as anything before it moves.
    """

    order: Literal["<", ">"] = "<"
    main: dict[int, Tag] = field(default_factory=dict)
    detail: dict[int, Tag] = field(default_factory=dict)
    gps: dict[int, Tag] = field(default_factory=dict)

    @classmethod
    def read(cls, source: BinaryIO | bytes, page: int = 0) -> Exif:
        """Read an EXIF block, or one page of a TIFF file. Broken tags are left out; ValueError if nothing is left."""
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        try:
            layout, offset = open_tiff(file)
            for _ in range(page + 1):
                tags, following = read_directory(file, layout, offset, CARRIED | {EXIF_IFD, GPS_IFD})
                offset = following
        except (struct.error, OverflowError) as error:
            raise ValueError(f"broken EXIF: {error}") from None
        exif = cls(layout.order, {n: t for n, t in tags.items() if n in CARRIED and t.type not in BIG_ONLY})
        for pointer, directory in ((EXIF_IFD, exif.detail), (GPS_IFD, exif.gps)):
            try:
                inner, _ = read_directory(file, layout, exif.integer(tags[pointer]))
            except (KeyError, ValueError, struct.error, OverflowError):
                continue
            directory.update({n: t for n, t in inner.items() if n not in NOT_CARRIED and t.type not in BIG_ONLY})
        if not (exif.main or exif.detail or exif.gps):
            raise ValueError("broken EXIF: nothing of it can be read")
        return exif

    def integer(self, tag: Tag) -> int:
        """First value of an integer tag; ValueError for another type."""
        code = {1: "B", 3: "H", 4: "I", 9: "i", 13: "I", 16: "Q", 18: "Q"}.get(tag.type)
        if code is None:
            raise ValueError("not an integer tag")
        return struct.unpack_from(self.order + code, tag.raw)[0]

    @property
    def orientation(self) -> int:
        """1 to 8; 1 when missing or nonsense."""
        try:
            value = self.integer(self.main[ORIENTATION])
        except (KeyError, ValueError):
            return 1
        return value if 1 <= value <= 8 else 1

    @property
    def dpi(self) -> tuple[float, float] | None:
        """Resolution in dots per inch, None when it is missing or has no unit."""
        try:
            unit = {2: 1.0, 3: 2.54}[self.integer(self.main[RESOLUTION_UNIT]) if RESOLUTION_UNIT in self.main else 2]
            pairs = [struct.unpack(self.order + "II", self.main[n].raw) for n in RESOLUTION]
            x, y = (unit * above / below for above, below in pairs)
        except (KeyError, ValueError, ZeroDivisionError, struct.error):
            return None
        return (x, y) if math.isfinite(x) and math.isfinite(y) else None

    def correct(self, width: int, height: int) -> None:
        """Make it true for an upright sRGB picture of ``width`` x ``height`` pixels made from the one it describes."""
        if self.orientation > 4 and X_RESOLUTION in self.main and Y_RESOLUTION in self.main:
            x, y = self.main[X_RESOLUTION], self.main[Y_RESOLUTION]
            self.main[X_RESOLUTION], self.main[Y_RESOLUTION] = y, x
        if self.orientation != 1:
            self.main = {n: tag for n, tag in self.main.items() if n not in GEOREFERENCE}
        self.main[ORIENTATION] = short(self.order, 1)
        for number, size in ((IMAGE_WIDTH, width), (IMAGE_LENGTH, height)):
            if number in self.main:
                self.main[number] = long(self.order, size)
        self.detail[COLOR_SPACE] = short(self.order, 1)
        self.detail[PIXEL_X], self.detail[PIXEL_Y] = long(self.order, width), long(self.order, height)

    def tobytes(self) -> bytes:
        """The block as EXIF is stored in JPEG, PNG and others (a classic TIFF structure, no ``Exif`` prefix)."""
        layout = classic(self.order)
        return layout.header(8) + write_tree(self.main, self.detail, self.gps, layout, 8)
