from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from outputs import HOSTILE_KEYS

from colorize_core.fingerprint import find, fingerprints, pack, repeated, shared, unpack

TEXTS = st.none() | st.text(max_size=20) | st.sampled_from(["", "\0", "a", "a\0", "a" * 8, "a" * 8 + "\0" * 8, "é"])
NUMBERS = st.none() | st.sampled_from([0, 1, -1, 2**62, -(2**63)])


def rows(pairs: list[tuple]) -> pa.Table:
    texts, numbers = zip(*pairs, strict=True)
    return pa.table({"text": pa.array(texts, pa.string()), "number": pa.array(numbers, pa.int64())})


@given(st.lists(st.tuples(TEXTS, NUMBERS), min_size=1, max_size=30))
def test_equal_where_the_values_are(pairs):
    prints = fingerprints(rows(pairs), ["text", "number"])
    for half in prints.T:
        assert len(set(half.tolist())) == len(set(pairs))
    assert len(set(zip(pairs, map(tuple, prints.tolist()), strict=True))) == len(set(pairs))
    assert repeated(prints).tolist() == [pair in pairs[:i] for i, pair in enumerate(pairs)]
    assert shared(prints[:, 0]).tolist() == [i for i, pair in enumerate(pairs) if pairs.count(pair) > 1]


def test_neither_chunks_nor_dictionaries_nor_long_neighbors_matter():
    keys = [*HOSTILE_KEYS, "", None, "x" * 2000, *(f"box/{i}.jpg" for i in range(1000))]
    table = pa.table({"key": pa.array(keys, pa.string())})
    prints = fingerprints(table, ["key"])
    assert len(np.unique(prints[:, 0])) == len(np.unique(prints[:, 1])) == len(keys)
    pieces = pa.concat_tables([table.slice(i, 7) for i in range(0, len(keys), 7)])
    assert np.array_equal(fingerprints(pieces, ["key"]), prints)
    coded = pa.table({"key": table["key"].dictionary_encode()})
    assert np.array_equal(fingerprints(coded, ["key"]), prints)
    alone = [fingerprints(table.slice(i, 1), ["key"])[0] for i in range(20)]
    assert np.array_equal(alone, prints[:20])


def test_texts_of_any_length():
    texts = ["x" * length for length in (8191, 8192, 8193, 8208, 20_000)]
    prints = fingerprints(pa.table({"text": texts}), ["text"])
    assert len(np.unique(prints[:, 0])) == len(np.unique(prints[:, 1])) == len(texts)


def test_columns_are_not_interchangeable():
    one, other = rows([("a", 1)]), pa.table({"text": ["a"], "also": [""]})
    assert not np.array_equal(fingerprints(other, ["text", "also"]), fingerprints(other, ["also", "text"]))
    both = fingerprints(one, ["text", "number"])
    assert np.array_equal(both, fingerprints(one, ["text"]) + fingerprints(one, ["number"], 1))


def test_there_and_back_and_found():
    prints = fingerprints(pa.table({"n": range(1000)}), ["n"])
    column = pa.chunked_array([pack(prints[:10]), pack(prints[10:])])
    assert np.array_equal(unpack(column), prints) and np.array_equal(unpack(column.slice(5, 20)), prints[5:25])
    again = fingerprints(pa.table({"print": column}), ["print"])
    assert len(np.unique(again, axis=0)) == 1000
    ordered = prints[:500][np.argsort(prints[:500, 0])]
    places, found = find(prints, ordered)
    assert found.tolist() == [True] * 500 + [False] * 500
    assert np.array_equal(ordered[places[:500]], prints[:500])
    assert not find(prints, ordered[:0])[1].any()
    other_half = prints[:500] + np.array([0, 1], np.uint64)
    assert not find(other_half, ordered)[1].any()
