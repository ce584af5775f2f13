"""Hints files beside scans: what counts of their text, and which are looked for."""

from __future__ import annotations

import pytest

from colorize_core.header import Rejected
from colorize_core.hints import LARGEST_FILE, SUFFIX, Hints
from colorize_core.sidecars import may_have, read_beside, text_of
from colorize_core.storage import Entry, StorageError, Store

SKY = b'{"size": [400, 300], "points": [{"x": 20, "y": 10, "color": "#88aadd"}]}'
SAME = b"""\xef\xbb\xbf{"points": [{"color": "#88AADD", "radius": 0, "y": 10, "x": 20}],\r\n "size": [400, 300]}"""
BROKEN = {
    "no JSON": b"{ a pencil note",
    "no hints": b"[1, 2]",
    "empty": b"",
    "deep": b"[" * 100_000,
    "no UTF-8": '{"palette": ["#a01c1c"], "note": "café"}'.encode("latin-1"),
    "an escape that is none": b'{"\\\xe9": 1}',
    "a stray byte": b'{"palette": ["#a01c1c"]}\xff',
    "UTF-16": '{"palette": ["#a01c1c"]}'.encode("utf-16"),
    "null": b"\0",
}


@pytest.fixture
def source(tmp_path):
    return Store(str(tmp_path / "in"))


def test_one_meaning_has_one_text():
    assert text_of(SKY) == text_of(SAME) != text_of(SKY.replace(b"20", b"21"))
    assert Hints.parse(text_of(SKY).encode()) == Hints.parse(SAME)
    assert text_of(text_of(SKY).encode()) == text_of(SKY)


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_used_stays_so(data):
    text = text_of(data)
    with pytest.raises(Rejected) as caught:
        Hints.parse(text.encode())
    assert caught.value.error_class == "bad_hints"
    assert text_of(text.encode()) == text


def test_hints_are_read_or_looked_for(source):
    for name in ("a.tif", "b.tif", "box/c.tif"):
        source.put(name, b"scan")
    source.put("a.tif" + SUFFIX, SKY)
    source.put("box/c.tif" + SUFFIX, b"{ a pencil note")
    scans = [source.stat(name) for name in ("box/c.tif", "b.tif", "a.tif")]
    expected = ["{ a pencil note", None, text_of(SKY)]
    assert read_beside(source, scans) == expected
    assert read_beside(source, scans, {"a.tif": source.stat("a.tif" + SUFFIX)}) == expected
    gone = source.stat("a.tif" + SUFFIX)
    source.delete(gone.key)
    assert read_beside(source, scans, {"a.tif": gone}) == [*expected[:2], None]


def test_a_file_of_any_size_is_not_read(source):
    scan, file = Entry("a.tif", 1, "e"), Entry("a.tif" + SUFFIX, 10**12, "v1")  # and not there
    (text,) = read_beside(source, [scan], {"a.tif": file})
    with pytest.raises(Rejected, match=f"more than {LARGEST_FILE:,}"):
        Hints.parse(text.encode())
    assert [text] != read_beside(source, [scan], {"a.tif": Entry(file.key, 10**12, "v2")})


def test_hints_that_may_not_be_read_are_not_passed_over(source, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"a file where the scan's folder should be")
    with pytest.raises(StorageError, match="a file is where a folder is needed"):
        read_beside(source, [Entry("a/b.tif", 1, "e")])


def test_folders_and_hints_have_no_hints():
    assert may_have("a.tif") and may_have("box 1/a")
    assert not any(map(may_have, ("", "box 1/", "a.tif" + SUFFIX)))
