"""The ledger: every record of an output folder, and the latest one of each photo."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from colorize_core.records import RECORDS, SCHEMA
from colorize_core.storage import Damaged, Entry, Store

IDENTITY = ("key", "page", "source_etag", "recipe")
READERS = 16
SETTLE_SECONDS = 0.5  # a file system shows a file while it is being written; a second look tells that from damage


def read_records(store: Store, columns: Sequence[str] | None = None) -> pa.Table:
    """Every row under ``records/``, oldest file name first, in the types of ``SCHEMA``.

    ``columns`` names the columns to read, all by default. Columns that a file has beyond the schema are dropped;
    nullable ones that it lacks are null. Raises ``Damaged`` naming the file when one cannot be read as records.
    """
    schema = SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])
    entries = sorted((e for e in store.list(f"{RECORDS}/") if e.key.endswith(".parquet")), key=lambda e: e.key)
    with ThreadPoolExecutor(READERS) as pool:
        tables = list(pool.map(lambda entry: _read(store, entry, schema), entries))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def latest(table: pa.Table) -> pa.Table:
    """The last row of each (key, page, source version, recipe), by ``finished_at``, then ``attempt``, then position."""
    return _last(table, IDENTITY)


def current(table: pa.Table) -> pa.Table:
    """The last row of each (key, page) over all source versions and recipes: what the folder holds now."""
    return _last(table, IDENTITY[:2])


def _read(store: Store, entry: Entry, schema: pa.Schema) -> pa.Table:
    try:
        return _parse(store.read(entry.key), schema)
    except (pa.ArrowException, OSError):
        time.sleep(SETTLE_SECONDS)
    try:
        return _parse(store.read(entry.key), schema)
    except (pa.ArrowException, OSError) as e:
        raise Damaged(
            f"{store.uri(entry.key)} is not a readable file of records ({str(e).strip().splitlines()[0]}); "
            "restore it, or delete it to have its photos done again"
        ) from e


def _parse(data: bytes, schema: pa.Schema) -> pa.Table:
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    present = set(file.schema_arrow.names)
    if missing := [f.name for f in schema if f.name not in present and not f.nullable]:
        raise pa.ArrowInvalid(f"it lacks the column {', '.join(missing)}")
    table = file.read(columns=[name for name in schema.names if name in present])
    rows = table.num_rows
    return pa.table(
        [table[f.name].cast(f.type) if f.name in present else pa.nulls(rows, f.type) for f in schema], schema=schema
    )


def _last(table: pa.Table, identity: Sequence[str]) -> pa.Table:
    if not table.num_rows:
        return table
    group = np.zeros(table.num_rows, np.int64)
    for name in identity:
        codes = _codes(table[name])
        group = np.unique(group * (codes.max() + 1) + codes, return_inverse=True)[1]  # dense again: no overflow
    order = np.lexsort((_numbers(table["attempt"]), _numbers(table["finished_at"]), group))
    is_last = np.append(group[order][1:] != group[order][:-1], True)
    return table.take(pa.array(np.sort(order[is_last])))


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """A small integer for each distinct value."""
    encoded = column.dictionary_encode(null_encoding="encode").unify_dictionaries()
    return np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks]).astype(np.int64)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Values as integers; null comes before everything."""
    return column.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
