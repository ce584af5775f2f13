"""The ledger: every record of an output folder, and the latest one of each photo."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from colorize_core.fingerprint import fingerprints, repeated, shared
from colorize_core.records import MERGED, RECORDS, SCHEMA
from colorize_core.storage import Damaged, Entry, NotFound, Store

IDENTITY = ("key", "page", "source_etag", "recipe")
ROW = (*IDENTITY, "run", "status", "attempt", "finished_at")  # two rows alike in these are one row and its copy
READERS = 16
TOGETHER = 128  # small files that one reader puts together
LARGE = 4 << 20  # bytes; of larger files as many are in memory at a time as there are processors
CODE = pa.dictionary(pa.int32(), pa.string())
SETTLE_SECONDS = 0.5  # a file system shows a file while it is being written; a second look tells that from damage

Shrink = Callable[[pa.Table], pa.Table]


def columns_of(names: Iterable[str], coded: Sequence[str] = ()) -> pa.Schema:
    """Those columns of ``SCHEMA``; strings that are coded, for their few values, as dictionaries."""
    fields = (SCHEMA.field(name) for name in names)
    return pa.schema([field.with_type(CODE) if field.name in coded else field for field in fields])


def read_records(store: Store, columns: Sequence[str] | None = None) -> pa.Table:
    """Every row under ``records/``, once, oldest file name first, in the types of ``SCHEMA``.

    ``columns`` names the columns to read, all by default. Columns that a file has beyond the schema are dropped;
    nullable ones that it lacks are null. Raises ``Damaged`` naming the file when one cannot be read as records.
    """
    names = SCHEMA.names if columns is None else columns
    table = gather(store, columns_of(dict.fromkeys([*names, *ROW])))
    return table.filter(pa.array(~repeated(fingerprints(table, ROW)))).select(names)


def gather(store: Store, schema: pa.Schema, shrink: Shrink = lambda table: table) -> pa.Table:
    """What ``shrink`` leaves of each file of records, put together; oldest file name first.

    ``schema`` is one of ``columns_of``. A row that a compaction has copied may come twice. Raises ``Damaged``.
    """
    seen: set[str] = set()
    tables: list[pa.Table] = []
    found = sorted(_files(store), key=lambda entry: entry.key)
    while found:
        for large, entries in itertools.groupby(found, lambda entry: entry.size > LARGE):
            files = list(entries)
            some = 1 if large else TOGETHER
            parts = [files[i : i + some] for i in range(0, len(files), some)]
            with ThreadPoolExecutor(os.cpu_count() if large else READERS) as pool:
                tables += pool.map(lambda part: shrink(_read(store, part, schema)), parts)
        seen.update(entry.key for entry in found)
        # What a compaction has taken away since, or before the listing came to it, is in files that stand there now.
        found = [e for e in _files(store) if e.key not in seen and e.key.rpartition("/")[2].startswith(MERGED)]
    return pa.concat_tables(tables) if tables else shrink(schema.empty_table())


def latest(table: pa.Table) -> pa.Table:
    """The last row of each (key, page, source version, recipe), by ``finished_at``, then ``attempt``, then position."""
    return last(table, fingerprints(table, IDENTITY))


def current(table: pa.Table) -> pa.Table:
    """The last row of each (key, page) over all source versions and recipes: what the folder holds now."""
    return last(table, fingerprints(table, IDENTITY[:2]))


def last(table: pa.Table, prints: np.ndarray) -> pa.Table:
    """The last row of each fingerprint, in the order of the table, which has ``finished_at`` and ``attempt``."""
    old = outdated(table, prints)
    return table.filter(pa.array(~old)) if old.any() else table


def outdated(table: pa.Table, prints: np.ndarray) -> np.ndarray:
    """Which rows are followed by another one of their fingerprint: (rows,) bool."""
    among = shared(prints[:, 0])
    rivals = table.select(["attempt", "finished_at"]).take(pa.array(among))
    order = among[
        np.lexsort((_numbers(rivals["attempt"]), _numbers(rivals["finished_at"]), prints[among, 1], prints[among, 0]))
    ]
    found = np.zeros(table.num_rows, bool)
    found[order[:-1]] = (prints[order[1:]] == prints[order[:-1]]).all(axis=1)
    return found


def _files(store: Store) -> Iterable[Entry]:
    return (entry for entry in store.list(f"{RECORDS}/") if entry.key.endswith(".parquet"))


def _read(store: Store, entries: Sequence[Entry], schema: pa.Schema) -> pa.Table:
    """The rows of some files, of those that are still there."""
    tables = [schema.empty_table()]
    for entry in entries:
        with contextlib.suppress(NotFound):
            tables.append(_read_file(store, entry, schema))
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _read_file(store: Store, entry: Entry, schema: pa.Schema) -> pa.Table:
    try:
        return parse(store.read(entry.key), schema)
    except (pa.ArrowException, OSError):
        time.sleep(SETTLE_SECONDS)
    try:
        return parse(store.read(entry.key), schema)
    except (pa.ArrowException, OSError) as e:
        raise Damaged(
            f"{store.uri(entry.key)} is not a readable file of records ({str(e).strip().splitlines()[0]}); "
            "restore it, or delete it to have its photos done again"
        ) from e


def parse(data: bytes, schema: pa.Schema) -> pa.Table:
    """The rows of a file of records. Raises ArrowInvalid or OSError where it is none."""
    coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True, read_dictionary=coded)
    present = set(file.schema_arrow.names)
    if missing := [f.name for f in schema if f.name not in present and not f.nullable]:
        raise pa.ArrowInvalid(f"it lacks the column {', '.join(missing)}")
    table = file.read(columns=[name for name in schema.names if name in present], use_threads=False)
    if table.schema.equals(schema):
        return table
    rows = table.num_rows
    return pa.table(
        [table[f.name].cast(f.type) if f.name in present else pa.nulls(rows, f.type) for f in schema], schema=schema
    )


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Values as integers; null comes before everything."""
    return column.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
