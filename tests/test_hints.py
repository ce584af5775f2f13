from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colorize_core import color, hints
from colorize_core.header import Header, Rejected
from colorize_core.hints import CollectionError, Hints, Square, read_collection

POINT = {"x": 120, "y": 80, "color": "#c0392b"}
BOX = {"x": 10, "y": 20, "width": 100, "height": 50, "color": {"a": -20.5, "b": 31}}


def parse(**content) -> Hints:
    return Hints.parse(json.dumps({"size": [300, 200]} | content).encode())


def test_everything_a_file_may_say():
    found = parse(points=[POINT | {"radius": 3, "page": 2}], boxes=[BOX], palette=["#8A6d3b", {"a": 0, "b": -0.0}])
    red = color.srgb_to_lab(np.array([0xC0, 0x39, 0x2B]) / 255)[1:]
    box, point = found.boxes
    assert found.size == (300, 200)
    assert box == (10, 20, 100, 50, (-20.5, 31), 1)
    assert point[:4] == (117, 77, 7, 7) and point.page == 2
    np.testing.assert_allclose(point.color, red, atol=0.0006)
    assert found.palette[1] == (0, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"points": [POINT | {"radus": 3}]},
            r'points\[0\] has the unknown key "radus"; it may have x, y, color, radius',
        ),
        ({"point": [POINT]}, 'the file has the unknown key "point"'),
        ({"points": [POINT, {"x": 1, "y": 2}]}, r"points\[1\] lacks the key color"),
        ({"points": [POINT | {"x": 300}]}, r"points\[0\].x must be a whole number from 0 to 299, not 300"),
        ({"points": [POINT | {"y": -1}]}, r"points\[0\].y"),
        ({"points": [POINT | {"y": 1.5}]}, r"points\[0\].y must be a whole number from 0 to 199, not 1.5"),
        ({"points": [POINT | {"y": True}]}, "not true"),
        ({"points": [POINT | {"x": float("nan")}]}, "not NaN"),
        ({"points": [POINT | {"page": 0}]}, r"points\[0\].page must be a whole number from 1"),
        ({"points": [POINT | {"radius": -1}]}, r"points\[0\].radius"),
        ({"points": [POINT | {"color": "red"}]}, r'points\[0\].color must be "#rrggbb" .* not "red"'),
        ({"points": [POINT | {"color": "#12345\n"}]}, r"points\[0\].color"),
        ({"points": [POINT | {"color": {"a": 1}}]}, r"points\[0\].color lacks the key b"),
        ({"points": [POINT | {"color": {"a": 1, "b": 1e400}}]}, r"points\[0\].color.b .* not Infinity"),
        ({"points": [POINT | {"color": {"a": 10**400, "b": 1}}]}, r"points\[0\].color.a .* not 1000"),
        ({"points": POINT}, "points must be a list, not an object"),
        ({"points": [[1, 2]]}, r"points\[0\] must be an object with x, y, .* not a list"),
        ({"boxes": [BOX | {"width": 291}]}, r"boxes\[0\].width must be a whole number from 1 to 290"),
        ({"boxes": [BOX | {"height": 0}]}, r"boxes\[0\].height"),
        ({"boxes": [BOX], "size": [300]}, "size must be a list of two numbers"),
        ({"boxes": [BOX], "size": [0, 200]}, r"size\[0\]"),
        ({"palette": ["#fff"]}, r"palette\[0\]"),
        ({"palette": ["#ffffff"] * 257}, "257 colors"),
        ({"points": [POINT] * 10_001}, "10,001 points and boxes are more than 10,000"),
        ({"points": []}, "holds no hint"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(content, said):
    with pytest.raises(Rejected, match=said) as caught:
        parse(**content)
    assert caught.value.error_class == "bad_hints"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b'{"points": [}', "line 1 column 13"),
        (b"\xff\xfe{}", "not JSON in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"palette": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", "nested too deeply|not a list"),
        (b"[]", "the file must be an object"),
        (b'{"palette": ["#ffffff"], "palette": []}', 'has the key "palette" twice'),
        (b'{"points": [{"x": 1, "y": 1, "x": 2, "color": "#ffffff"}], "size": [9, 9]}', r'points\[0\] has the key "x"'),
        (b'{"points": [{"x": 1, "y": 1, "color": "#ffffff"}]}', "lacks the key size"),
        (b'{"\\ud800": 1}', r'unknown key "\\ud800"'),
        (b'{"palette": [' + b"9" * 5_000 + b"]}", "not JSON"),
        (b" " * (hints.LARGEST_FILE + 1), "1,048,577 bytes are more than 1,048,576"),
    ],
)
def test_files_that_are_none(data, said):
    with pytest.raises(Rejected, match=said) as caught:
        Hints.parse(data)
    assert len(str(caught.value)) < 300 and str(caught.value).encode()


WORDS = st.sampled_from(
    ["size", "points", "boxes", "palette", "x", "y", "width", "height", "color", "radius", "page", "a", "b"]
)
NUMBERS = st.integers(-3, 12) | st.floats() | st.integers()
VALUES = st.recursive(
    NUMBERS | st.none() | st.booleans() | st.sampled_from(["#c0392b", "red"]) | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(WORDS, inside, max_size=6),
    max_leaves=12,
)
COLORS = st.sampled_from(["#c0392b", "#ffffff"]) | st.fixed_dictionaries({"a": NUMBERS, "b": NUMBERS})
POINTS = st.fixed_dictionaries(
    {"x": st.integers(0, 9), "y": st.integers(0, 9), "color": COLORS},
    optional={"radius": st.integers(0, 20), "page": st.integers(1, 3)},
)
BOXES = st.fixed_dictionaries(
    dict.fromkeys(("x", "y"), st.integers(0, 9))
    | dict.fromkeys(("width", "height"), st.integers(1, 9))
    | {"color": COLORS}
)
FILES = st.fixed_dictionaries(
    {"size": st.tuples(st.integers(9, 20), st.integers(9, 20))},
    optional={"points": st.lists(POINTS), "boxes": st.lists(BOXES), "palette": st.lists(COLORS)},
)


@given(st.binary() | (VALUES | FILES).map(lambda value: json.dumps(value).encode()))
@example(b"\xef\xbb\xbf" + json.dumps({"palette": ["#c0392b"]}).encode())
def test_any_bytes_are_hints_or_refused_and_hints_keep_their_meaning(data):
    try:
        found = Hints.parse(data)
    except Rejected as refused:
        assert refused.error_class == "bad_hints" and len(str(refused)) < 400
        return
    again = Hints.parse(found.canonical().encode())
    assert again == found
    assert again.canonical() == found.canonical() and again.digest == found.digest
    for square in found.squares(4, 3):
        assert 0 <= square.top < square.bottom <= 3 and 0 <= square.left < square.right <= 4
    drawn = found.draw(4, 3)
    assert np.isfinite(drawn).all() and (drawn[..., 2].any() == bool(found.boxes))


def test_one_meaning_has_one_digest():
    one = parse(points=[POINT], boxes=[BOX])
    same = Hints.parse(
        b'{"boxes":[{"color":{"b":31.0,"a":-20.50},"height":50,"width":100,"y":20,"x":10,"page":1}],'
        b'"points":[{"color":"#C0392B","radius":0,"y":80,"x":120}],"size":[300,200]}'
    )
    assert one.digest == same.digest != parse(points=[POINT]).digest


def test_the_largest_file_has_a_canonical_form_that_is_taken():
    far = hints.LONGEST_SIDE - 1
    box = {"x": far // 2, "y": far // 2, "width": far // 2, "height": far // 2, "page": hints.MOST_PAGES}
    strong = {"a": -127.123, "b": -127.123}
    one = Hints.parse(
        json.dumps({"size": [far + 1, far + 1], "boxes": [box | {"color": strong}], "palette": [strong]}).encode()
    )
    most = replace(one, boxes=one.boxes * hints.MOST_MARKS, palette=one.palette * hints.MOST_COLORS)
    assert Hints.parse(most.canonical().encode()) == most


def test_pages_have_hints_of_their_own():
    found = parse(points=[POINT, POINT | {"page": 3}])
    assert found.on_page(0) == replace(found, boxes=found.boxes[:1])
    assert found.on_page(1) is None
    assert found.on_page(2) == replace(found, boxes=found.boxes[1:])
    assert parse(palette=["#8a6d3b"], points=[POINT]).on_page(5) == parse(palette=["#8a6d3b"])


def test_hints_must_fit_the_scan():
    scan = Header("TIFF", "L", 8, 1200, 803, pages=2)
    parse(points=[POINT]).check(scan, 0)  # of a copy of a quarter of the size
    parse(points=[POINT]).check(replace(scan, width=803, height=1200, orientation=6), 0)
    parse(palette=["#8a6d3b"]).check(replace(scan, width=5), 0)
    parse(points=[POINT | {"page": 2}]).check(replace(scan, width=5), 0)  # the other page
    with pytest.raises(Rejected, match="size is 300 x 200, and the upright scan has 803 x 1200"):
        parse(points=[POINT]).check(replace(scan, orientation=6), 0)
    with pytest.raises(Rejected, match="page 3, and the scan 2"):
        parse(points=[POINT | {"page": 3}]).check(scan, 0)


def test_squares_follow_the_size_of_the_picture():
    found = parse(
        boxes=[BOX, BOX | {"x": 110, "width": 7}],
        points=[POINT | {"x": 299, "y": 0, "radius": 1}, POINT],
    )
    exact, beside, corner, point = found.squares(300, 200)
    assert exact == Square(20, 70, 10, 110, -20.5, 31)
    assert (beside.left, beside.right) == (110, 117)
    assert corner[:4] == (0, 2, 298, 300) and point[:4] == (80, 81, 120, 121)
    assert [square[:4] for square in found.squares(900, 600)][3] == (240, 243, 360, 363)
    small = found.squares(31, 19)
    assert small[0].right == small[1].left  # side by side in every size
    assert [square[:4] for square in small][2:] == [(0, 1, 30, 31), (7, 8, 12, 13)]


def test_later_hints_lie_over_earlier_ones():
    drawn = parse(boxes=[BOX, BOX | {"width": 5, "color": {"a": 1, "b": 2}}], points=[POINT | {"x": 12, "y": 22}]).draw(
        300, 200
    )
    assert drawn.dtype == np.float32 and drawn.shape == (200, 300, 3)
    assert drawn[30, 50].tolist() == [-20.5, 31, 1]
    assert drawn[30, 12].tolist() == [1, 2, 1]
    assert drawn[22, 12, 0] > 40
    assert not drawn[:20].any() and not drawn[:, :10].any() and drawn[..., 2].sum() == 5000


def test_a_collection_is_one_table(tmp_path):
    address = str(tmp_path / "hints.parquet")
    text = json.dumps({"palette": ["#8a6d3b"]})
    pq.write_table(pa.table({"key": ["a/1.tif", "b.jpg"], "hints": [text, "no hints"], "who": ["me", "you"]}), address)
    assert read_collection(address) == {"a/1.tif": text, "b.jpg": "no hints"}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"key": ["a", "b", "a"], "hints": ["", "", ""]}, "more than one row for a"),
        ({"key": ["a", None], "hints": ["{}", "{}"]}, "row 1"),
        ({"key": ["a"], "hints": pa.array([None], pa.string())}, "row 0"),
        ({"key": ["a"], "hint": ["{}"]}, "string columns key and hints"),
        ({"key": ["a"], "hints": [[1.5]]}, "string columns key and hints"),
        (None, "no Parquet file"),
    ],
)
def test_a_table_that_is_no_collection(tmp_path, columns, said):
    path = tmp_path / "hints.parquet"
    path.write_bytes(b"key,hints\n") if columns is None else pq.write_table(pa.table(columns), path)
    with pytest.raises(CollectionError, match=said) as caught:
        read_collection(str(path))
    assert str(path) in str(caught.value)
