from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorize_core.keys import KEY_BYTES, SEGMENT_BYTES, TEMPORARY, is_temporary, readable, safe_key

TRICKY = st.sampled_from([".", "..", "%", "%2E", "%2F", "~", "~0123456789abcdef", TEMPORARY, "\\", "\0", "é", "\ud800"])
SEGMENTS = st.lists(st.one_of(TRICKY, st.text(max_size=30)), max_size=6).map("".join)
KEYS = st.one_of(st.lists(SEGMENTS, min_size=1, max_size=8).map("/".join), st.text(max_size=50))
LONG = st.builds(lambda key, times: key * times, KEYS, st.integers(1, 20))


@given(LONG)
def test_the_result_is_a_relative_path_any_store_can_hold(key):
    safe = safe_key(key)
    assert len(safe.encode()) <= KEY_BYTES + 1
    assert not re.search(r"[\x00-\x1f\x7f\\]", safe)
    assert not is_temporary(safe)
    for segment in safe.split("/"):
        assert segment not in ("", ".", "..")
        assert not segment.startswith(TEMPORARY)
        assert len(segment.encode()) <= SEGMENT_BYTES


@given(st.lists(LONG, min_size=2, max_size=30, unique=True))
def test_different_keys_get_different_results(keys):
    assert len({safe_key(key) for key in keys}) == len(keys)


@given(LONG)
def test_a_key_that_spells_the_result_of_another_gets_its_own(key):
    spelled = safe_key(key)
    assert spelled == key or safe_key(spelled) != spelled


@pytest.mark.parametrize("key", ["a.tif", "1907/Lyon, rue Édouard/scan 12 (b).tif", ".hidden/~x", "日本/写真.jpg"])
def test_ordinary_keys_stay_as_they_are(key):
    assert safe_key(key) == key


@pytest.mark.parametrize(
    ("key", "safe"),
    [
        ("a//b", "a/%/b"),
        ("/a", "%/a"),
        ("a/", "a/%"),
        ("../x", "%2E%2E/x"),
        ("a/./b", "a/%2E/b"),
        ("50%.tif", "50%25.tif"),
        ("a\\b", "a%5Cb"),
        ("a\0\nb", "a%00%0Ab"),
        (TEMPORARY + "x", "%2Eautochrome-tmp-x"),
        ("x~0123456789abcdef", "x%7E0123456789abcdef"),
    ],
)
def test_odd_segments_are_encoded(key, safe):
    assert safe_key(key) == safe


def test_a_shortened_name_cannot_be_taken_by_a_key_that_spells_it():
    short = safe_key("é" * 300)
    assert re.fullmatch(r"é+~[0-9a-f]{16}", short)
    assert safe_key(short) != short
    assert safe_key("é" * 301) != short


def test_a_path_too_long_for_s3_keeps_its_first_folders():
    key = "/".join(f"folder{n:03}" for n in range(120))
    safe = safe_key(key)
    assert safe.startswith("folder000/folder001/")
    assert len(safe.encode()) <= KEY_BYTES
    assert safe_key(key + "/x") != safe


def test_names_that_are_not_text_become_readable():
    assert readable(os.fsdecode(b"K\xf6ln.tif")) == "K\\xf6ln.tif"
    assert readable("Köln \\xf6.tif") == "Köln \\xf6.tif"
