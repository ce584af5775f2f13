"""Compaction: the many small files of records of a run that is over become few large ones.

Nothing is lost whenever it stops, and whoever else is at it: a small file is removed only once each of its rows has
been read back from a large one, and large ones stay. Until then rows may be there twice; readers of the ledger count
them once. What is left half done is finished the next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from colorize_core.fingerprint import find, fingerprints, repeated
from colorize_core.ledger import READERS, ROW, TOGETHER, columns_of, parse
from colorize_core.records import MERGED, RECORDS, SCHEMA
from colorize_core.runs import read_runs, state
from colorize_core.storage import Damaged, Entry, NotFound, Store

FEW = 16  # small files that a run may keep until it has a large one
FILES, BYTES = 2048, 64 << 20  # small files that make a large one, at most: 65 thousand rows when blocks are full
ORDER = [(name, "ascending") for name in ("key", "page", "finished_at", "attempt")]


def compact(store: Store) -> int:
    """Merge the small files of every run that is over; how many are gone.

    Files that hold columns beyond ``SCHEMA``, or cannot be read, are left alone. Raises StorageError.
    """
    over = {run["run"] for run in read_runs(store) if state(run) != "running"}
    runs = defaultdict[str, list[Entry]](list)
    for entry in store.list(f"{RECORDS}/run="):
        folder, _, name = entry.key.rpartition("/")
        if name.endswith(".parquet"):
            runs[folder].append(entry)
    return sum(_compact_run(store, folder, runs[folder]) for folder in sorted(runs) if _run(folder) in over)


def _compact_run(store: Store, folder: str, entries: Sequence[Entry]) -> int:
    large = [entry for entry in entries if entry.key.startswith(f"{folder}/{MERGED}")]
    small = sorted(set(entries) - set(large), key=lambda entry: entry.key)
    if len(small) <= (0 if large else FEW):
        return 0
    gone = 0
    with ThreadPoolExecutor(READERS) as pool:
        held = np.concatenate([np.zeros((0, 2), np.uint64), *(_prints(store, entry.key) for entry in large)])
        held = held[np.argsort(held[:, 0])]
        for part in _parts(small):
            groups = [part[i : i + TOGETHER] for i in range(0, len(part), TOGETHER)]
            read, tables = zip(*pool.map(partial(_read, store), groups), strict=True)
            rows = pa.concat_tables(tables)
            prints = fingerprints(rows, ROW)
            missing = ~(repeated(prints) | find(prints, held)[1])
            if missing.any():
                _store(store, folder, rows.filter(pa.array(missing)).sort_by(ORDER))
            gone += sum(pool.map(partial(_remove, store), itertools.chain.from_iterable(read)))
    return gone


def _store(store: Store, folder: str, rows: pa.Table) -> None:
    """Write rows under a name made from them, and read them back. Raises Damaged where they are others then."""
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd", write_page_checksum=True)
    data = sink.getvalue()
    key = f"{folder}/{MERGED}{hashlib.sha1(data).hexdigest()}.parquet"
    store.put(key, data, "application/vnd.apache.parquet")
    try:
        same = np.array_equal(_prints(store, key), fingerprints(rows, ROW))
    except (pa.ArrowException, OSError):
        same = False
    if not same:
        store.delete(key)
        raise Damaged(f"{store.uri(key)} could not be read back as it was written. The small files stay; run again.")


def _read(store: Store, entries: Sequence[Entry]) -> tuple[list[Entry], pa.Table]:
    """Small files and their rows, but for those files that are gone, damaged, or hold more than we know."""
    read, tables = [], [SCHEMA.empty_table()]
    for entry in entries:
        with contextlib.suppress(NotFound, pa.ArrowException, OSError):
            data = store.read(entry.key)
            if set(pq.read_schema(pa.BufferReader(data)).names) <= set(SCHEMA.names):
                tables.append(parse(data, SCHEMA))
                read.append(entry)
    return read, pa.concat_tables(tables).combine_chunks()


def _prints(store: Store, key: str) -> np.ndarray:
    return fingerprints(parse(store.read(key), columns_of(ROW)), ROW)


def _remove(store: Store, entry: Entry) -> bool:
    """Remove a small file, unless it is another by now."""
    with contextlib.suppress(NotFound):
        if store.stat(entry.key) == entry:
            store.delete(entry.key)
            return True
    return False


def _parts(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    part: list[Entry] = []
    size = 0
    for entry in entries:
        if part and (len(part) == FILES or size + entry.size > BYTES):
            yield part
            part, size = [], 0
        part.append(entry)
        size += entry.size
    yield part


def _run(folder: str) -> str:
    return folder.removeprefix(f"{RECORDS}/run=")
