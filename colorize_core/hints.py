"""Color hints: what a person says of the colors of a photo, in a small JSON file beside it."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import numpy as np

from colorize_core import color
from colorize_core.header import Header, Rejected

SUFFIX = ".hints.json"  # behind the whole name of a scan
LARGEST_FILE = 1 << 20  # bytes; the canonical form of as many hints as there may be is smaller
MOST_MARKS = 10_000  # points and boxes together
MOST_COLORS = 256  # of a palette
LONGEST_SIDE = 1_000_000  # of the picture that coordinates count pixels of
MOST_PAGES = 10_000
STRONGEST = 128.0  # of a and b
SAME_SHAPE = 0.02  # how far two ratios of width to height may be apart
RGB = re.compile(r"#[0-9a-fA-F]{6}")


class Color(NamedTuple):
    """Lab a and b, to a thousandth; a hint leaves lightness to the scan."""

    a: float
    b: float


class Box(NamedTuple):
    """A rectangle of one color, in pixels of a picture of the hints' size; ``page`` counts from 1."""

    x: int
    y: int
    width: int
    height: int
    color: Color
    page: int


class Square(NamedTuple):
    """A rectangle of pixels and its ab; row ``bottom`` and column ``right`` are the first outside."""

    top: int
    bottom: int
    left: int
    right: int
    a: float
    b: float


class CollectionError(ValueError):
    """The hints of a collection cannot be used; the message names the file and what to do."""


@dataclass(frozen=True)
class Hints:
    """The hints for one scan, all its pages.

    size: width and height of the upright picture that ``boxes`` lie in; None without boxes.
    boxes: in the order in which they are painted; a point is the square box around it.
    palette: the colors that the whole scan may have; empty for any.
    """

    size: tuple[int, int] | None
    boxes: tuple[Box, ...]
    palette: tuple[Color, ...]

    @classmethod
    def parse(cls, data: bytes) -> Hints:
        """The hints of a file. Raises Rejected, of class ``bad_hints``, naming the place in the file."""
        if len(data) > LARGEST_FILE:
            _refuse(f"{len(data):,} bytes are more than {LARGEST_FILE:,}; give fewer hints")
        try:
            content = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_Object)
        except RecursionError:
            _refuse("it is nested too deeply; write the hints anew")
        except ValueError as error:
            _refuse(f"it is not JSON in UTF-8 ({error}); correct that place")
        top = _fields(content, "the file", (), ("size", "points", "boxes", "palette"))
        points, boxes, palette = (_items(top, name) for name in ("points", "boxes", "palette"))
        if not points and not boxes and not palette:
            _refuse("it holds no hint; give points, boxes or a palette, or remove the file")
        if len(points) + len(boxes) > MOST_MARKS:
            _refuse(f"{len(points) + len(boxes):,} points and boxes are more than {MOST_MARKS:,}; give fewer")
        if len(palette) > MOST_COLORS:
            _refuse(f"{len(palette):,} colors of a palette are more than {MOST_COLORS}; give fewer")
        if (points or boxes) and "size" not in top:
            _refuse("it lacks the key size; say [width, height] of the picture that the coordinates count pixels of")
        size = _size(top["size"]) if "size" in top else (1, 1)
        marks = [_box(box, f"boxes[{i}]", size) for i, box in enumerate(boxes)]
        marks += [_point(point, f"points[{i}]", size) for i, point in enumerate(points)]
        colors = tuple(_color(value, f"palette[{i}]") for i, value in enumerate(palette))
        return cls(size if marks else None, tuple(marks), colors)

    def canonical(self) -> str:
        """The same hints as JSON that ``parse`` takes: one text for all files of one meaning. ASCII."""
        content: dict[str, Any] = {}
        if self.boxes:
            content["size"] = self.size
            content["boxes"] = [box._asdict() | {"color": box.color._asdict()} for box in self.boxes]
        if self.palette:
            content["palette"] = [entry._asdict() for entry in self.palette]
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def check(self, header: Header, page: int) -> None:
        """See that the hints fit a scan, and those of a page (from 0) its shape. Raises Rejected."""
        beyond = max((box.page for box in self.boxes), default=1)
        if beyond > header.pages:
            _refuse(f"it has hints for page {beyond}, and the scan {header.pages}; pages count from 1")
        if self.size is None or not any(box.page == page + 1 for box in self.boxes):
            return
        (width, height), (real_width, real_height) = self.size, header.size
        if abs(width * real_height / (height * real_width) - 1) > SAME_SHAPE:
            _refuse(
                f"size is {width} x {height}, and the upright scan has {real_width} x {real_height} pixels; "
                "count in the scan as it is to be seen, or in a smaller copy of the same shape"
            )

    def on_page(self, page: int) -> Hints | None:
        """The hints that a page (from 0) has, or None."""
        boxes = tuple(box for box in self.boxes if box.page == page + 1)
        return replace(self, size=self.size if boxes else None, boxes=boxes) if boxes or self.palette else None

    def squares(self, width: int, height: int) -> list[Square]:
        """The boxes in a picture of this size, of whatever page they are; later ones lie over earlier ones.

        Edges go to the nearest pixel's, so that boxes side by side stay so; each square has at least one pixel.
        """
        if self.size is None:
            return []
        squares = []
        for box in self.boxes:
            left, right = _scaled(box.x, box.width, self.size[0], width)
            top, bottom = _scaled(box.y, box.height, self.size[1], height)
            squares.append(Square(top, bottom, left, right, *box.color))
        return squares

    def draw(self, width: int, height: int) -> np.ndarray:
        """The boxes as networks take them: float32 (height, width, 3) of a, b in Lab units and mask.

        The mask is 1 where there is a hint; elsewhere all three are 0.
        """
        picture = np.zeros((height, width, 3), np.float32)
        for square in self.squares(width, height):
            picture[square.top : square.bottom, square.left : square.right] = square.a, square.b, 1
        return picture


def read_collection(address: str) -> dict[str, str]:
    """The hints of a whole collection, by the key of the scan: the text of a hints file for each, not yet parsed.

    The address is that of a Parquet file with the string columns ``key`` and ``hints``. Raises CollectionError, and
    StorageError when it cannot be read at all.
    """
    import pyarrow as pa  # like the store, not for processes that only paint
    import pyarrow.parquet as pq

    from colorize_core.storage import Store

    folder, _, name = address.rpartition("/")
    data = Store(folder or ".").read(name)
    try:
        table = pq.read_table(io.BytesIO(data), columns=["key", "hints"])
        keys, texts = (table[column].cast(pa.string()).to_pylist() for column in ("key", "hints"))
    except (pa.ArrowException, KeyError, OSError, UnicodeDecodeError) as error:
        raise CollectionError(
            f"{address} is no Parquet file with the string columns key and hints ({error}); write it so"
        ) from error
    if None in keys or None in texts:
        row = min(column.index(None) for column in (keys, texts) if None in column)
        raise CollectionError(f"{address} has no key or no hints in row {row}; fill it in or leave the row out")
    if len(set(keys)) < len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        raise CollectionError(f"{address} has more than one row for {twice}; put its hints into one")
    return dict(zip(keys, texts, strict=True))


class _Object(dict):
    """A JSON object that remembers a key it was given twice."""

    def __init__(self, pairs: Iterable[tuple[str, Any]]):
        super().__init__()
        self.twice: str | None = None
        for key, value in pairs:
            if key in self:
                self.twice = key
            self[key] = value


def _refuse(problem: str) -> NoReturn:
    raise Rejected("bad_hints", f"the hints file cannot be used: {problem}")


def _shown(value: Any) -> str:
    """A value of JSON for a message: short, printable, and without what is inside of it."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "..."


def _fields(value: Any, where: str, needed: tuple[str, ...], free: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, _Object):
        _refuse(f"{where} must be an object with {_listed(needed + free)}, not {_shown(value)}")
    if value.twice is not None:
        _refuse(f"{where} has the key {_shown(value.twice)} twice; leave one of them out")
    for key in value:
        if key not in needed + free:
            _refuse(f"{where} has the unknown key {_shown(key)}; it may have {_listed(needed + free)}")
    for key in needed:
        if key not in value:
            _refuse(f"{where} lacks the key {key}; it must have {_listed(needed)}")
    return value


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1]


def _items(top: dict[str, Any], name: str) -> list:
    value = top.get(name, [])
    if not isinstance(value, list):
        _refuse(f"{name} must be a list, not {_shown(value)}")
    return value


def _whole(value: Any, where: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        _refuse(f"{where} must be a whole number from {low} to {high}, not {_shown(value)}")
    return value


def _size(value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        _refuse("size must be a list of two numbers, [width, height]")
    width, height = (_whole(side, f"size[{i}]", 1, LONGEST_SIDE) for i, side in enumerate(value))
    return width, height


def _color(value: Any, where: str) -> Color:
    if isinstance(value, str) and RGB.fullmatch(value):
        a, b = color.srgb_to_lab(np.frombuffer(bytes.fromhex(value[1:]), np.uint8) / 255)[1:].tolist()
    elif isinstance(value, dict):
        fields = _fields(value, where, ("a", "b"), ())
        a, b = (_component(fields[name], f"{where}.{name}") for name in "ab")
    else:
        _refuse(f'{where} must be "#rrggbb" or an object with a and b, not {_shown(value)}')
    return Color(round(a, 3) + 0.0, round(b, 3) + 0.0)  # so that a negative zero is none


def _component(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -STRONGEST <= value <= STRONGEST:
        _refuse(f"{where} must be a number from {-STRONGEST:g} to {STRONGEST:g}, not {_shown(value)}")
    return float(value)


def _box(value: Any, where: str, size: tuple[int, int]) -> Box:
    fields = _fields(value, where, ("x", "y", "width", "height", "color"), ("page",))
    x, y = _place(fields, where, size)
    width = _whole(fields["width"], f"{where}.width", 1, size[0] - x)
    height = _whole(fields["height"], f"{where}.height", 1, size[1] - y)
    return Box(x, y, width, height, _color(fields["color"], f"{where}.color"), _page(fields, where))


def _point(value: Any, where: str, size: tuple[int, int]) -> Box:
    """The square around a point, as much of it as lies inside."""
    fields = _fields(value, where, ("x", "y", "color"), ("radius", "page"))
    x, y = _place(fields, where, size)
    radius = _whole(fields.get("radius", 0), f"{where}.radius", 0, LONGEST_SIDE)
    left, top = max(x - radius, 0), max(y - radius, 0)
    right, bottom = min(x + radius + 1, size[0]), min(y + radius + 1, size[1])
    return Box(left, top, right - left, bottom - top, _color(fields["color"], f"{where}.color"), _page(fields, where))


def _place(fields: dict[str, Any], where: str, size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    return _whole(fields["x"], f"{where}.x", 0, width - 1), _whole(fields["y"], f"{where}.y", 0, height - 1)


def _page(fields: dict[str, Any], where: str) -> int:
    return _whole(fields.get("page", 1), f"{where}.page", 1, MOST_PAGES)


def _scaled(start: int, length: int, size: int, target: int) -> tuple[int, int]:
    """The first pixel of a stretch, and the one behind its last, once ``size`` pixels have become ``target`` ones."""
    first, end = (2 * start * target + size) // (2 * size), (2 * (start + length) * target + size) // (2 * size)
    if first < end:
        return first, end
    first = (2 * start + length) * target // (2 * size)
    return first, first + 1
