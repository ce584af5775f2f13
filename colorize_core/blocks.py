"""The blocks that a plan is worked through in: what is redone when a worker dies, and shares a file of records."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from colorize_core.storage import Entry

BYTES = 32 << 20  # of scans in a block; larger scans have blocks of their own
CHAPTER = 1 << 16  # scans sought out of the plan at a time


def blocks(todo: pa.Table, most: int, hands: int) -> Iterator[pa.Table]:
    """The scans of a plan, the biggest first, in blocks of up to ``most``.

    Near the end the blocks shrink, so that ``hands`` blocks in work at a time end together.
    """
    order = np.argsort(-todo["size"].to_numpy(), kind="stable")
    for first in range(0, len(order), CHAPTER):
        chapter = take(todo, order[first : first + CHAPTER])
        until = np.cumsum(chapter["size"].to_numpy())
        at = 0
        while at < len(chapter):
            left = len(order) - first - at
            count = min(most, -(-left // (2 * hands)))
            within = int(np.searchsorted(until, (until[at - 1] if at else 0) + BYTES, "right")) - at
            count = max(1, min(count, within))
            yield chapter.slice(at, count)
            at += count


def take(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """Rows of a table by number, in that order. Arrow's own ``take`` first copies a table of many chunks into one."""
    batches = table.to_batches()
    ends = np.cumsum([len(batch) for batch in batches])
    batch_of = np.searchsorted(ends, rows, "right")
    gathered = [batches[n].take(pa.array(rows[batch_of == n] - ends[n] + len(batches[n]))) for n in np.unique(batch_of)]
    order = np.argsort(np.argsort(batch_of, kind="stable"), kind="stable")
    return pa.Table.from_batches(gathered, table.schema).combine_chunks().take(pa.array(order))


def entries(block: pa.Table) -> Iterator[tuple[Entry, int, str | None]]:
    """The scans of a block, the number of the attempt to come, and the text of their hints, None without."""
    for row in block.to_pylist():
        yield Entry(os.fsdecode(row["key"]), row["size"], row["etag"]), row["attempt"], row["hints"]


def block_name(block: pa.Table) -> str:
    """The same for the same photos, whoever works on them."""
    names = block.select([name for name in ("key", "page") if name in block.column_names]).to_pylist()
    return hashlib.sha1(repr(names).encode()).hexdigest()
