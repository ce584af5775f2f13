"""Fingerprints: 128 bits that stand for the values of a row, in a sixth of their memory.

They are for comparing rows within a process and mean nothing outside it. Two different rows of 10 million share one
with a probability of about 1e-25.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PRINT = pa.binary(16)
CACHED = 1 << 20  # bytes of text that are worked on at a time
COLUMNS = 16  # at most, of a fingerprint
WORDS = 1024  # of eight bytes; a longer text uses the same numbers again
_RANDOM = np.random.default_rng(secrets.randbits(128))
_ODD = _RANDOM.integers(0, 2**64, (COLUMNS, WORDS + 1, 3), np.uint64) | np.uint64(1)
_HALF = np.uint64(32)
_NULL = _ODD[0, WORDS, 0]


def fingerprints(table: pa.Table, names: Sequence[str], start: int = 0) -> np.ndarray:
    """A fingerprint for each row of the named columns, shape (rows, 2), uint64; equal where all values are.

    The fingerprint of several columns is the sum of those of the columns at their places, of which the first is
    ``start``. Text is compared by its bytes, whether it is in a dictionary or not; numbers, times and fixed-size binary
    of a multiple of eight bytes by their value. Null is a value of its own.
    """
    prints = np.zeros((table.num_rows, 2), np.uint64)
    for name, numbers in zip(names, _ODD[start:], strict=False):
        done = 0
        for chunk in table[name].chunks:
            prints[done : done + len(chunk)] += _column(chunk, numbers)
            done += len(chunk)
    return prints


def pack(prints: np.ndarray) -> pa.Array:
    """Fingerprints as a column of ``PRINT``."""
    return pa.Array.from_buffers(PRINT, len(prints), [None, pa.py_buffer(np.ascontiguousarray(prints))])


def unpack(column: pa.ChunkedArray) -> np.ndarray:
    """The inverse of ``pack``."""
    return np.concatenate([_words(chunk) for chunk in column.chunks] or [np.zeros((0, 2), np.uint64)])


def shared(numbers: np.ndarray) -> np.ndarray:
    """Which rows have a number (rows,) that another row has too, ascending."""
    order = np.argsort(numbers)
    ordered = numbers[order]
    same = ordered[1:] == ordered[:-1]
    found = np.zeros(len(numbers), bool)
    found[order[1:][same]] = found[order[:-1][same]] = True
    return np.flatnonzero(found)


def repeated(prints: np.ndarray) -> np.ndarray:
    """Which rows have the fingerprint of an earlier one: (rows,) bool."""
    among = shared(prints[:, 0])
    order = among[np.lexsort((prints[among, 1], prints[among, 0]))]
    found = np.zeros(len(prints), bool)
    found[order[1:]] = (prints[order[1:]] == prints[order[:-1]]).all(axis=1)
    return found


def find(prints: np.ndarray, ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of each fingerprint among others, which are ordered by their first half, and whether it is there.

    Of two different ones with the same first half only one is found.
    """
    if not len(ordered):
        return np.zeros(len(prints), np.int64), np.zeros(len(prints), bool)
    order = np.argsort(prints[:, 0])  # neighbors are looked up one after the other, which is many times as fast
    places = np.empty(len(prints), np.int64)
    places[order] = np.searchsorted(ordered[:, 0], prints[order, 0])
    places = np.minimum(places, len(ordered) - 1)
    return places, (ordered[places] == prints).all(axis=1)


def _column(array: pa.Array, numbers: np.ndarray) -> np.ndarray:
    if pa.types.is_dictionary(array.type):
        if array.null_count:
            return _column(array.cast(array.type.value_type), numbers)
        values = _column(array.dictionary, numbers)
        return values if len(values) == 1 else values[array.indices.to_numpy()]
    if pa.types.is_fixed_size_binary(array.type):
        return _mix(_words(array), numbers)
    if not pa.types.is_string(array.type):
        array = array.view(pa.int64()) if pa.types.is_uint64(array.type) else array
        values = array.cast(pa.int64()).fill_null(0).to_numpy().view(np.uint64)[:, None].copy()
        if array.null_count:
            values[array.is_null().to_numpy(zero_copy_only=False)] = _NULL
        return _mix(values, numbers)
    return _text(array, numbers)


def _text(array: pa.Array, numbers: np.ndarray) -> np.ndarray:
    """Padded to whole words, then told from what the padding could be mistaken for by their length."""
    prints = np.zeros((len(array), 2), np.uint64)
    lengths = pc.binary_length(array)
    width = -(-(pc.max(lengths).as_py() or 0) // 8) * 8
    rows = max(1, CACHED // max(width, 8))
    sizes = lengths.cast(pa.int64()).fill_null(-1).to_numpy().view(np.uint64)[:, None]
    for start in range(0, len(array), rows):
        part = slice(start, start + rows)
        prints[part] = _mix(sizes[part], numbers[WORDS:])
        if width:
            padded = pc.ascii_rpad(array[part].fill_null(""), width, "\0")
            words = np.frombuffer(padded.buffers()[2], np.uint64, len(padded) * width // 8)
            prints[part] += _mix(words.reshape(len(padded), -1), numbers)
    return prints


def _mix(words: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Sums of scrambled words (rows, words), in which a word that is zero does not count."""
    sums = np.zeros((2, len(words)), np.uint64)
    for i in range(words.shape[1]):
        scramble, one, other = numbers[i % len(numbers)]
        word = words[:, i] * scramble
        word ^= word >> _HALF
        sums[0] += word * one
        sums[1] += word * other
    return sums.T


def _words(array: pa.FixedSizeBinaryArray) -> np.ndarray:
    width = array.type.byte_width // 8
    words = np.frombuffer(array.buffers()[1], np.uint64).reshape(-1, width)
    return words[array.offset : array.offset + len(array)]
