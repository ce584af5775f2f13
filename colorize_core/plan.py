"""The plan of a run: which scans of the archive still have to be done."""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from colorize_core.keys import readable
from colorize_core.ledger import latest, read_records
from colorize_core.records import DONE, Status
from colorize_core.storage import Entry, NotFound, Store

COLUMNS = ("key", "page", "source_etag", "recipe", "status", "source_pages", "attempt", "finished_at")
NAMES = {"key": ("key", "path", "name"), "size": ("size",), "etag": ("etag", "e_tag")}  # in manifests, case ignored
STATS = 32  # concurrent requests for sizes and etags that a manifest does not give


class ManifestError(ValueError):
    """The manifest cannot be used; the message names the file and what it lacks."""


@dataclass
class Plan:
    """What was found, what of it is done already, and what remains, with the number of the attempt to come."""

    listed: int = 0
    already_done: int = 0
    todo: list[tuple[Entry, int]] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry, _ in self.todo)


@dataclass(frozen=True)
class Past:
    """What the ledger says of one scan at one version under one recipe."""

    complete: bool
    troubled: bool  # some page failed or was rejected
    attempts: int


def history(output: Store, recipe: str) -> dict[tuple[str, str], Past]:
    """The past of every (key, source version) that has been attempted under a recipe."""
    rows = read_records(output, COLUMNS)
    rows = latest(rows.filter(pc.equal(rows["recipe"], recipe)))
    done = pc.is_in(rows["status"], pa.array([str(s) for s in DONE]))
    good = pc.is_in(rows["status"], pa.array([str(Status.COLORIZED), str(Status.SKIPPED_COLOR)]))
    rows = rows.append_column("done", pc.cast(done, pa.int32()))
    rows = rows.append_column("trouble", pc.cast(pc.invert(good), pa.int32()))
    grouped = rows.group_by(["key", "source_etag"]).aggregate(
        [("done", "sum"), ("trouble", "sum"), ("source_pages", "max"), ("attempt", "max")]
    )
    return {
        (r["key"], r["source_etag"]): Past(
            r["done_sum"] >= (r["source_pages_max"] or 1), r["trouble_sum"] > 0, r["attempt_max"] or 1
        )
        for r in grouped.to_pylist()
    }


def make_plan(
    entries: Iterable[Entry],
    past: dict[tuple[str, str], Past],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    force: bool = False,
    limit: int | None = None,
) -> Plan:
    """List minus ledger. ``include`` and ``exclude`` are shell patterns over whole keys; ``force`` does all again."""
    plan = Plan()
    for entry in entries:
        if include and not any(fnmatch.fnmatchcase(entry.key, p) for p in include):
            continue
        if any(fnmatch.fnmatchcase(entry.key, p) for p in exclude):
            continue
        plan.listed += 1
        known = past.get((readable(entry.key), entry.etag))
        if known and known.complete and not force:
            plan.already_done += 1
        else:
            plan.todo.append((entry, known.attempts + 1 if known else 1))
            if limit is not None and len(plan.todo) >= limit:
                break
    return plan


def retry_plan(source: Store, past: dict[tuple[str, str], Past]) -> Plan:
    """Only the scans with a failed or rejected page, at the version that is there now; nothing is listed."""
    attempts: dict[str, int] = {}
    for (key, _), known in past.items():
        if known.troubled:
            attempts[key] = max(attempts.get(key, 0), known.attempts)
    entries = stat_all(source, attempts)
    todo = [(entry, attempts[entry.key] + 1) for entry in entries]
    return Plan(listed=len(todo), todo=todo)


def stat_all(source: Store, keys: Iterable[str]) -> Iterator[Entry]:
    """The entries of keys; one that is not there keeps size 0 and an empty version, and fails when it is fetched."""

    def stat(key: str) -> Entry:
        try:
            return source.stat(key)
        except NotFound:
            return Entry(key, 0, "")

    with ThreadPoolExecutor(STATS) as pool:
        yield from pool.map(stat, keys)


def read_manifest(uri: str, source: Store) -> Iterator[Entry]:
    """The entries of a Parquet or CSV inventory with a header: a key, and where given size and etag.

    Keys are paths under the input root, or full URIs that begin with it. What the inventory does not say is asked of
    the store. Raises ManifestError.
    """
    folder, _, name = uri.rpartition("/")
    data = Store(folder or ".").read(name)
    try:
        table = (pq.read_table if data[:4] == b"PAR1" else pyarrow.csv.read_csv)(io.BytesIO(data))
    except pa.ArrowException as error:
        raise ManifestError(f"{uri} is neither Parquet nor CSV with a header: {error}") from error
    columns = {
        ours: next((c for c in table.column_names if c.lower() in theirs), None) for ours, theirs in NAMES.items()
    }
    if columns["key"] is None:
        raise ManifestError(f"{uri} has no column named key (it has {', '.join(table.column_names)})")
    keys = [_relative(str(key), source.root) for key in table[columns["key"]].to_pylist()]
    if columns["size"] is None or columns["etag"] is None:
        yield from stat_all(source, keys)
        return
    sizes, etags = table[columns["size"]].to_pylist(), table[columns["etag"]].to_pylist()
    for key, size, etag in zip(keys, sizes, etags, strict=True):
        if not (key.endswith("/") and not size):
            yield Entry(key, int(size), str(etag).strip('"'))


def _relative(key: str, root: str) -> str:
    return key.removeprefix(root + "/") if "://" in key else key
