"""The plan of a run: which scans of the archive still have to be done."""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from colorize_core.fingerprint import find, fingerprints, pack, unpack
from colorize_core.keys import readable
from colorize_core.ledger import columns_of, gather, last
from colorize_core.records import Status
from colorize_core.storage import Entry, NotFound, Store

COLUMNS = ("key", "page", "source_etag", "recipe", "status", "source_pages", "attempt", "finished_at")
# keys as bytes: a file name need not be text
TODO = pa.schema([("key", pa.binary()), ("size", pa.int64()), ("etag", pa.string()), ("attempt", pa.int32())])
NAMES = {"key": ("key", "path", "name"), "size": ("size",), "etag": ("etag", "e_tag")}  # in manifests, case ignored
STATS = 32  # concurrent requests for sizes and etags that a manifest does not give
TROUBLED = pa.schema([("key", pa.string()), ("attempts", pa.int32())])
CHUNK = 16_384  # entries that are looked up at a time
GOOD = pa.array([str(Status.COLORIZED), str(Status.SKIPPED_COLOR)])


class ManifestError(ValueError):
    """The manifest cannot be used; the message names the file and what it lacks."""


@dataclass
class Plan:
    """What was found, what of it is done already, and what remains, with the number of the attempt to come.

    todo: scans in the columns of ``TODO``.
    """

    listed: int = 0
    already_done: int = 0
    todo: pa.Table = field(default_factory=TODO.empty_table)

    @property
    def bytes(self) -> int:
        return pc.sum(self.todo["size"]).as_py() or 0


@dataclass(frozen=True)
class Past:
    """What the ledger says of scans at a version under one recipe, ordered by the first half of their fingerprint.

    scans: (scans, 2) uint64, of key and version. complete: (scans,) bool, every page has its final state. attempts:
    (scans,) int32. troubled: key and attempts for each page that was failed or rejected last.
    """

    scans: np.ndarray
    complete: np.ndarray
    attempts: np.ndarray
    troubled: pa.Table

    def look_up(self, scans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each fingerprint: is it complete, and how many attempts there were.

        A scan that shares half a fingerprint with another counts as not attempted: it is done again, never left out.
        """
        places, known = find(scans, self.scans)
        if not known.any():
            return known, np.zeros(len(scans), np.int32)
        return self.complete[places] & known, np.where(known, self.attempts[places], 0).astype(np.int32)


NO_PAST = Past(np.zeros((0, 2), np.uint64), np.zeros(0, bool), np.zeros(0, np.int32), TROUBLED.empty_table())


def history(output: Store, recipe: str) -> Past:
    """The past of every (key, source version) that has been attempted under a recipe."""

    def shrink(rows: pa.Table) -> pa.Table:
        rows = rows.filter(pc.equal(rows["recipe"], recipe))
        good = pc.is_in(rows["status"], GOOD)
        columns = {
            "scan": pack(fingerprints(rows, ("key", "source_etag"))),
            "done": pc.or_(good, pc.equal(rows["status"], str(Status.REJECTED))),
            "trouble": pc.if_else(good, None, rows["key"]),
        }
        return pa.table(columns | {name: rows[name] for name in ("page", "source_pages", "attempt", "finished_at")})

    rows = gather(output, columns_of(COLUMNS, coded=("recipe", "status")), shrink)
    rows = last(rows, fingerprints(rows, ("scan", "page")))
    scans = unpack(rows["scan"])
    order = np.argsort(scans[:, 0])
    scans = scans[order]
    firsts = np.flatnonzero(np.append(True, (scans[1:] != scans[:-1]).any(axis=1))[: len(scans)])

    def per_scan(total: np.ufunc, name: str, missing: int) -> np.ndarray:
        values = rows[name].cast(pa.int32()).fill_null(missing).to_numpy()
        return total.reduceat(values[order], firsts) if len(firsts) else values

    complete = per_scan(np.add, "done", 0) >= per_scan(np.maximum, "source_pages", 1)
    past = Past(scans[firsts], complete, per_scan(np.maximum, "attempt", 1), TROUBLED.empty_table())
    bad = rows.filter(pc.is_valid(rows["trouble"]))
    return replace(past, troubled=pa.table([bad["trouble"], past.look_up(unpack(bad["scan"]))[1]], schema=TROUBLED))


def make_plan(
    entries: Iterable[Entry],
    past: Past,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    force: bool = False,
    limit: int | None = None,
) -> Plan:
    """List minus ledger. ``include`` and ``exclude`` are shell patterns over whole keys; ``force`` does all again."""
    wanted, unwanted = (re.compile("|".join(map(fnmatch.translate, globs))) for globs in (include, exclude))
    entries = (
        entry
        for entry in entries
        if (not include or wanted.match(entry.key)) and not (exclude and unwanted.match(entry.key))
    )
    listed = already_done = found = 0
    todo: list[pa.Table] = []
    while chunk := list(itertools.islice(entries, CHUNK)):
        complete, attempts = past.look_up(_scans(chunk))
        left = np.flatnonzero(~complete) if not force else np.arange(len(chunk))
        if limit is not None and found + len(left) >= limit:
            left = left[: limit - found]
            chunk = chunk[: left[-1] + 1]
        listed += len(chunk)
        already_done += len(chunk) - len(left)
        found += len(left)
        todo.append(_todo([chunk[i] for i in left], attempts[left] + 1))
        if limit is not None and found >= limit:
            break
    return Plan(listed, already_done, pa.concat_tables(todo) if todo else TODO.empty_table())


def retry_plan(source: Store, past: Past) -> Plan:
    """Only the scans with a failed or rejected page, at the version that is there now; nothing is listed."""
    troubled = past.troubled.group_by("key", use_threads=False).aggregate([("attempts", "max")])
    todo = _todo(list(stat_all(source, troubled["key"].to_pylist())), troubled["attempts_max"].to_numpy() + 1)
    return Plan(listed=len(todo), todo=todo)


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


def _scans(entries: Sequence[Entry]) -> np.ndarray:
    """Fingerprints of keys and versions, like those of the ledger."""
    keys = [entry.key if entry.key.isascii() else readable(entry.key) for entry in entries]
    etags = [entry.etag for entry in entries]
    names = ("key", "source_etag")
    return fingerprints(pa.table([pa.array(keys, pa.string()), pa.array(etags, pa.string())], names), names)


def _todo(entries: Sequence[Entry], attempts: np.ndarray) -> pa.Table:
    columns = {
        "key": [os.fsencode(entry.key) for entry in entries],
        "size": [entry.size for entry in entries],
        "etag": [entry.etag for entry in entries],
        "attempt": attempts.astype(np.int32),
    }
    return pa.table(columns, schema=TODO)


def _relative(key: str, root: str) -> str:
    return key.removeprefix(root + "/") if "://" in key else key
