"""The plan of a run: which scans of the archive still have to be done."""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colorize_core import blocks
from colorize_core.fingerprint import find, fingerprints, pack, unpack
from colorize_core.hints import SUFFIX
from colorize_core.keys import readable
from colorize_core.ledger import columns_of, gather, outdated
from colorize_core.manifest import CHUNK, stat_all
from colorize_core.records import Status
from colorize_core.sidecars import may_have, read_beside, text_of
from colorize_core.storage import Entry, Store

COLUMNS = ("key", "page", "source_etag", "recipe", "status", "source_pages", "attempt", "finished_at")
TODO = pa.schema(
    [
        ("key", pa.binary()),  # a file name need not be text
        ("size", pa.int64()),
        ("etag", pa.string()),
        ("attempt", pa.int32()),
        ("hints", pa.large_string()),  # what sidecars.text_of gave; large, for 65 thousand of them in a table
    ]
)
FILES = 1024  # hints files that are read at a time
GOOD = pa.array([str(Status.COLORIZED), str(Status.SKIPPED_COLOR)])


@dataclass
class Plan:
    """What was found, what of it is done already, and what remains, with the number of the attempt to come.

    todo: scans in the columns of ``TODO``. orphans: how many hints are of no scan that was found.
    """

    listed: int = 0
    already_done: int = 0
    todo: pa.Table = field(default_factory=TODO.empty_table)
    orphans: int = 0

    @property
    def bytes(self) -> int:
        return pc.sum(self.todo["size"]).as_py() or 0


@dataclass(frozen=True)
class Past:
    """What the ledger says of scans at a version under a recipe, ordered by the first half of their fingerprint.

    scans: (scans, 2) uint64, of key, version and recipe. complete: (scans,) bool, the last record of every page is
    this recipe's, at this version, and final. attempts: (scans,) int32. troubled: the keys of scans with a page that
    was failed or rejected last, whatever the recipe.
    """

    scans: np.ndarray
    complete: np.ndarray
    attempts: np.ndarray
    troubled: pa.Array

    def look_up(self, scans: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each fingerprint: its place here, whether it is complete, and how many attempts there were.

        A scan that shares half a fingerprint with another counts as not attempted: it is done again, never left out.
        """
        places, known = find(scans, self.scans)
        if not known.any():
            return places, known, np.zeros(len(scans), np.int32)
        return places, self.complete[places] & known, np.where(known, self.attempts[places], 0).astype(np.int32)


NO_PAST = Past(np.zeros((0, 2), np.uint64), np.zeros(0, bool), np.zeros(0, np.int32), pa.array([], pa.string()))


def history(output: Store) -> Past:
    """The past of every (key, source version, recipe) that has been attempted.

    Of a page only the last record of all counts, by ``finished_at``, then ``attempt``: it tells whose colors the output
    holds.
    """

    def shrink(rows: pa.Table) -> pa.Table:
        good = pc.is_in(rows["status"], GOOD)
        key = fingerprints(rows, ("key",))
        columns = {
            "scan": pack(key + fingerprints(rows, ("source_etag", "recipe"), 1)),
            "photo": pack(key + fingerprints(rows, ("page",), 1)),
            "done": pc.or_(good, pc.equal(rows["status"], str(Status.REJECTED))),
            "trouble": pc.if_else(good, None, rows["key"]),
        }
        return pa.table(columns | {name: rows[name] for name in ("source_pages", "attempt", "finished_at")})

    rows = gather(output, columns_of(COLUMNS, coded=("recipe", "status")), shrink)
    last = ~outdated(rows, unpack(rows["photo"]))
    scans = unpack(rows["scan"])
    order = np.argsort(scans[:, 0])
    scans = scans[order]
    firsts = np.flatnonzero(np.append(True, (scans[1:] != scans[:-1]).any(axis=1))[: len(scans)])

    def per_scan(total: np.ufunc, values: np.ndarray) -> np.ndarray:
        return total.reduceat(values[order], firsts) if len(firsts) else values

    def numbers(name: str) -> np.ndarray:
        return rows[name].fill_null(1).to_numpy()

    done = last & rows["done"].to_numpy()
    complete = per_scan(np.add, done.astype(np.int32)) >= per_scan(np.maximum, numbers("source_pages"))
    troubled = rows["trouble"].filter(pa.array(last)).drop_null().unique()
    return Past(scans[firsts], complete, per_scan(np.maximum, numbers("attempt")), troubled)


class Sieve:
    """Lets through the scans that are not done under the recipe that is wanted for each.

    digest: of the recipe, with the hints of a scan or with None. force: lets all through.
    """

    def __init__(self, past: Past, digest: Callable[[str | None], str], force: bool = False):
        self.past, self.digest, self.force = past, digest, force
        self.plain = digest(None)
        self._held = np.zeros(len(past.scans), bool)

    def left(self, scans: Sequence[Entry], hints: Sequence[str | None]) -> pa.Table:
        """Those scans that still have to be done, in their order, as rows of ``TODO``."""
        places, complete, attempts = self.past.look_up(self._prints(scans, hints))
        left = np.arange(len(scans))
        if not self.force:
            self._held[places[complete]] = True
            left = np.flatnonzero(~complete)
        entries = [scans[i] for i in left.tolist()]
        columns = {
            "key": [os.fsencode(entry.key) for entry in entries],
            "size": [entry.size for entry in entries],
            "etag": [entry.etag for entry in entries],
            "attempt": attempts[left] + 1,
            "hints": [hints[i] for i in left.tolist()],
        }
        return pa.table(columns, schema=TODO)

    def has_held(self, scans: Sequence[Entry], hints: Sequence[str | None]) -> np.ndarray:
        """Which scans have been here with these hints, and were held back as done: (scans,) bool."""
        places, held, _ = self.past.look_up(self._prints(scans, hints))
        held[held] = self._held[places[held]]
        return held

    def _prints(self, scans: Sequence[Entry], hints: Sequence[str | None]) -> np.ndarray:
        """Fingerprints of keys, versions and recipes, like those of the past."""
        keys = [scan.key if scan.key.isascii() else readable(scan.key) for scan in scans]
        etags = [scan.etag for scan in scans]
        recipes = [self.plain if text is None else self.digest(text) for text in hints]
        columns = [pa.array(keys, pa.string()), pa.array(etags, pa.string())]
        columns.append(pa.array(recipes, pa.string()).dictionary_encode())
        names = ("key", "source_etag", "recipe")
        return fingerprints(pa.table(columns, names), names)


def make_plan(
    source: Store,
    entries: Iterable[Entry],
    past: Past,
    digest: Callable[[str | None], str],
    *,
    hints: Mapping[str, str] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    force: bool = False,
    limit: int | None = None,
) -> Plan:
    """List minus ledger, each scan under the recipe that it is to have.

    entries: scans and the hints files beside them, in any order. digest: of the recipe, with the hints of a scan or
    with none. hints: of scans by key, instead of the files beside them. include, exclude: shell patterns over whole
    keys of scans. force: does all again. limit: scans to do, at least 1, at which the listing ends.

    A hints file that is listed brings its scan along where that is not listed itself. Under a limit the hints file of a
    scan might come too late, so that it is looked for. Raises StorageError.
    """
    wanted, unwanted = (re.compile("|".join(map(fnmatch.translate, globs))) for globs in (include, exclude))
    sieve = Sieve(past, digest, force)
    files: dict[str, Entry] = {}  # of hints, by the key of their scan
    taken: set[str] = set()  # the keys of ``hints`` that were found

    def chosen(key: str) -> bool:
        return bool((not include or wanted.match(key)) and not (exclude and unwanted.match(key)))

    def scans() -> Iterator[Entry]:
        for entry in entries:
            key = entry.key
            if not key.endswith(SUFFIX):
                if chosen(key):
                    yield entry
            elif chosen(key := key.removesuffix(SUFFIX)):
                files[key] = entry

    listed = found = 0
    tables = [TODO.empty_table()]
    coming = scans()
    while chunk := list(itertools.islice(coming, CHUNK)):
        rows = sieve.left(chunk, _told(chunk, hints or {}))
        listed += len(chunk)
        if hints is not None:
            taken.update(scan.key for scan in chunk if scan.key in hints)
        if limit is not None:
            most = limit - found
            rows = _first_beside(source, sieve, rows, most) if hints is None else rows[:most]
        tables.append(rows)
        found += len(rows)
        if found == limit:
            last = os.fsdecode(rows["key"][-1].as_py())
            listed -= [scan.key for scan in reversed(chunk)].index(last)
            return Plan(listed, listed - found, pa.concat_tables(tables))
    todo = pa.concat_tables(tables)
    if hints is not None:
        return Plan(listed, listed - found, todo, orphans=sum(map(chosen, hints)) - len(taken))
    todo, brought, orphans = _with_files(source, sieve, todo, files)
    done = listed + brought - len(todo)
    todo = todo[:limit]
    return Plan(done + len(todo), done, todo, orphans)


def retry_plan(
    source: Store, past: Past, digest: Callable[[str | None], str], *, hints: Mapping[str, str] | None = None
) -> Plan:
    """Only the scans with a page failed or rejected last, at the version that is there now; nothing is listed.

    digest and hints are those of ``make_plan``; hints files are looked for. Raises StorageError.
    """
    scans = list(stat_all(source, past.troubled.to_pylist()))
    texts = read_beside(source, scans) if hints is None else _told(scans, hints)
    todo = Sieve(past, digest, force=True).left(scans, texts)
    return Plan(listed=len(todo), todo=todo)


def _told(scans: Sequence[Entry], hints: Mapping[str, str]) -> list[str | None]:
    """The ``text_of`` the hints that each scan has in a table."""
    if not hints:
        return [None] * len(scans)
    return [text_of(hints[scan.key].encode()) if scan.key in hints else None for scan in scans]


def _first_beside(source: Store, sieve: Sieve, rows: pa.Table, most: int) -> pa.Table:
    """The first rows, up to so many, that are left with the hints files beside their scans, which are looked for."""
    tables = [TODO.empty_table()]
    while len(rows) and most:
        scans, rows = _entries(rows[:most]), rows[most:]
        tables.append(sieve.left(scans, read_beside(source, scans)))
        most -= len(tables[-1])
    return pa.concat_tables(tables)


def _with_files(source: Store, sieve: Sieve, todo: pa.Table, files: Mapping[str, Entry]) -> tuple[pa.Table, int, int]:
    """What is left with these hints files, how many scans were listed by them alone, and how many files have no scan.

    todo: what is left without. A scan that is not in it is done, or was not listed.
    """
    if not files:
        return todo, 0, 0
    is_hinted = pc.is_in(todo["key"], pa.array([os.fsencode(key) for key in files], pa.binary()))
    waiting = _entries(todo.filter(is_hinted))
    elsewhere = files.keys() - {scan.key for scan in waiting}
    others = [scan for scan in stat_all(source, filter(may_have, elsewhere)) if scan.etag]
    tables, brought, scans = [todo.filter(pc.invert(is_hinted))], 0, [*waiting, *others]
    for start in range(0, len(scans), FILES):
        some = scans[start : start + FILES]
        texts = read_beside(source, some, files)
        seen = sieve.has_held(some, [None] * len(some)) | sieve.has_held(some, texts)
        brought += int((~seen & (np.arange(len(some)) + start >= len(waiting))).sum())
        tables.append(sieve.left(some, texts))
    return pa.concat_tables(tables), brought, len(elsewhere) - len(others)


def _entries(rows: pa.Table) -> list[Entry]:
    return [scan for scan, _, _ in blocks.entries(rows)]
