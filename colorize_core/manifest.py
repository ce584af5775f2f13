"""The manifest: an inventory of scans, which saves the listing of a large archive."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from colorize_core.storage import Entry, NotFound, Store

NAMES = {"key": ("key", "path", "name"), "size": ("size",), "etag": ("etag", "e_tag")}  # in manifests, case ignored
STATS = 32  # concurrent requests for sizes and etags that a manifest does not give
CHUNK = 16_384  # rows that are read at a time


class ManifestError(ValueError):
    """The manifest cannot be used; the message names the file and what it lacks."""


def stat_all(source: Store, keys: Iterable[str]) -> Iterator[Entry]:
    """The entries of keys; one that is not there keeps size 0 and an empty version, and fails when it is fetched."""

    def stat(key: str) -> Entry:
        try:
            return source.stat(key)
        except NotFound:
            return Entry(key, 0, "")

    keys = iter(keys)
    with ThreadPoolExecutor(STATS) as pool:
        while some := list(itertools.islice(keys, CHUNK)):
            yield from pool.map(stat, some)


def read_manifest(uri: str, source: Store) -> Iterator[Entry]:
    """The entries of a Parquet or CSV inventory with a header: a key, and where given size and etag.

    Keys are paths under the input root, or full URIs that begin with it. What the inventory does not say is asked of
    the store. Raises ManifestError.
    """
    folder, _, name = uri.rpartition("/")
    store = Store(folder or ".")
    with tempfile.TemporaryDirectory(prefix="autochrome-manifest-") as scratch:
        path = Path(scratch, "manifest")
        store.fetch(store.stat(name), path)
        try:
            for rows in _manifest_rows(path, uri):
                yield from _entries(rows, source)
        except pa.ArrowException as error:
            raise ManifestError(f"{uri} is neither Parquet nor CSV with a header: {error}") from error


def _manifest_rows(path: Path, uri: str) -> Iterator[pa.Table]:
    """What an inventory says in the columns that ``NAMES`` knows, under our names, a part at a time."""
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if is_parquet:
        parquet = pq.ParquetFile(path)
        theirs = parquet.schema_arrow.names
    else:
        with pyarrow.csv.open_csv(path) as reader:
            theirs = reader.schema.names
    names = {ours: next((c for c in theirs if c.lower() in known), None) for ours, known in NAMES.items()}
    names = {ours: their for ours, their in names.items() if their is not None}
    if "key" not in names:
        raise ManifestError(f"{uri} has no column named key (it has {', '.join(theirs)})")
    columns = list(names.values())
    schema = pa.schema([(ours, pa.int64() if ours == "size" else pa.string()) for ours in names])
    if is_parquet:
        batches = parquet.iter_batches(CHUNK, columns=columns)
    else:  # what the first rows look like must not decide: 0012 is a name
        types = dict(zip(columns, schema.types, strict=True))
        options = pyarrow.csv.ConvertOptions(column_types=types, include_columns=columns)
        batches = pyarrow.csv.open_csv(path, convert_options=options)
    for batch in batches:
        yield pa.table(
            [batch[name].cast(kind) for name, kind in zip(columns, schema.types, strict=True)], schema=schema
        )


def _entries(rows: pa.Table, source: Store) -> Iterator[Entry]:
    keys = [_relative(key, source.root) for key in rows["key"].to_pylist()]
    if set(rows.column_names) != set(NAMES) or rows["size"].null_count or rows["etag"].null_count:
        yield from stat_all(source, keys)
        return
    for key, size, etag in zip(keys, rows["size"].to_pylist(), rows["etag"].to_pylist(), strict=True):
        if not (key.endswith("/") and not size):
            yield Entry(key, size, etag.strip('"'))


def _relative(key: str, root: str) -> str:
    return key.removeprefix(root + "/") if "://" in key else key
