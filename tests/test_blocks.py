"""The blocks of a plan: every scan once, giants alone, small ones at the end."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from colorize_core.blocks import BYTES, block_name, blocks, entries, take
from colorize_core.plan import TODO


def todo(sizes: np.ndarray, chunk: int = 1000) -> pa.Table:
    """A plan of scans of these sizes, as a listing makes it: chunk by chunk."""
    table = pa.table(
        {
            "key": pa.array([b"%d.jpg" % i for i in range(len(sizes))], pa.binary()),
            "size": pa.array(sizes, pa.int64()),
            "etag": pa.array(["e"] * len(sizes), pa.string()),
            "attempt": pa.array([1] * len(sizes), pa.int32()),
            "hints": pa.array([f"hints {i}" if i % 3 == 0 else None for i in range(len(sizes))], pa.large_string()),
        },
        TODO,
    )
    return pa.concat_tables([table.slice(at, chunk) for at in range(0, len(sizes), chunk)] or [table])


@pytest.mark.parametrize("count", [0, 1, 5, 400, 70_000])
def test_every_scan_is_in_one_block(count):
    made = list(blocks(todo(np.arange(count) % 997 * 1000), 32, 8))
    found = [(entry.key, hints) for block in made for entry, _, hints in entries(block)]
    assert sorted(found) == sorted((f"{i}.jpg", f"hints {i}" if i % 3 == 0 else None) for i in range(count))
    assert all(1 <= len(block) <= 32 and block.schema == TODO for block in made)
    assert len({block_name(block) for block in made}) == len(made)


def test_the_biggest_come_first_and_giants_alone():
    sizes = np.array([5, BYTES * 3, 7, BYTES + 1, 6] + [BYTES // 4] * 9)
    made = [block["size"].to_pylist() for block in blocks(todo(sizes), 32, 1)]
    assert made[:2] == [[BYTES * 3], [BYTES + 1]]
    assert all(len(block) == 1 or sum(block) <= BYTES for block in made)
    assert [size for block in made for size in block] == sorted(sizes.tolist(), reverse=True)


@pytest.mark.parametrize("hands", [2, 8, 64])
def test_the_last_blocks_are_too_small_to_wait_for(hands):
    counts = [len(block) for block in blocks(todo(np.full(10_000, 1000)), 32, hands)]
    assert counts[0] == 32 and counts[-hands:] == [1] * hands
    assert len(counts) < 10_000 / 32 + 8 * hands


def test_rows_come_in_the_order_asked_for():
    table = todo(np.arange(5000), chunk=700)
    rows = np.random.default_rng(0).permutation(5000)[:1234]
    assert take(table, rows).equals(table.take(pa.array(rows)))
