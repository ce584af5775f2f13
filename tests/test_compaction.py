"""Compaction of records: crashes, readers and rivals at every point, on real Parquet files in a folder."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from outputs import HOSTILE_KEYS, record, run, table, write_run

from colorize_core import compaction
from colorize_core.compaction import compact
from colorize_core.ledger import parse, read_records
from colorize_core.records import SCHEMA, write_records
from colorize_core.storage import Damaged, StorageError, Store
from jobs.colorize import merge_records
from jobs.status import summarize

FILES = 20  # more than a run may keep
ROWS = 3 * FILES


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "out"))
    fill(store)
    return store


def fill(store: Store, name: str = "r1", **summary) -> None:
    """A run of 20 files of records, three rows each."""
    for i in range(FILES):
        keys = [f"box {i % 7}/sheet {i}.tif", f"{i} {HOSTILE_KEYS[i % len(HOSTILE_KEYS)]}", f"album {i}.tif"]
        write_records(store, name, [record(key, run=name, page=int(key < "a"), width=i) for key in keys])
    write_run(store, run(name, planned=ROWS, done=ROWS, **summary))


def names(store: Store) -> list[str]:
    return sorted(entry.key for entry in store.list("records/"))


def small(store: Store) -> list[str]:
    return [name for name in names(store) if "merged-" not in name]


def stored_rows(store: Store) -> list[dict]:
    """What the files hold, copies included."""
    found = pa.concat_tables(parse(store.read(name), SCHEMA) for name in names(store))
    return found.sort_by([("run", "ascending"), ("key", "ascending")]).to_pylist()


def recorded(store: Store) -> list[int]:
    return [told["recorded"] for told in summarize(store, datetime.now(UTC))["runs"]]


def test_many_files_become_one_with_the_same_rows(store, tmp_path):
    before = stored_rows(store)
    assert compact(store) == FILES
    (name,) = names(store)
    assert stored_rows(store) == before
    keys = parse(store.read(name), SCHEMA)["key"].to_pylist()
    assert keys == sorted(keys)
    assert compact(store) == 0
    again = Store(str(tmp_path / "again"))
    fill(again)
    compact(again)
    assert names(again) == [name]


def test_no_file_is_larger_than_its_bounds(store, monkeypatch):
    monkeypatch.setattr(compaction, "FILES", 4)
    before = stored_rows(store)
    assert compact(store) == FILES
    assert len(names(store)) == 5 and stored_rows(store) == before


def test_only_runs_that_are_over_are_touched(store):
    now = datetime.now(UTC)
    fill(store, "live", state="running", updated_at=now.isoformat())
    fill(store, "dead", state="running", updated_at=(now - timedelta(hours=1)).isoformat())
    fill(store, "unknown")
    store.delete("runs/unknown.json")
    write_records(store, "short", [record("a.jpg", run="short")])
    write_run(store, run("short"))
    assert compact(store) == 2 * FILES
    assert {name.split("/")[1] for name in small(store)} == {"run=live", "run=unknown", "run=short"}
    assert read_records(store).num_rows == 4 * ROWS + 1


@pytest.mark.parametrize("removed", [0, 1, 17])
def test_killed_between_the_large_file_and_the_last_small_one(store, monkeypatch, removed):
    before, delete, calls = stored_rows(store), Store.delete, []

    def die(self, key):
        calls.append(key)
        if len(calls) > removed:
            raise KeyboardInterrupt
        delete(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "READERS", 1)
        patch.setattr(Store, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            compact(store)
    assert len(small(store)) == FILES - removed
    assert len(stored_rows(store)) == 2 * ROWS - 3 * removed
    assert read_records(store).num_rows == ROWS and recorded(store) == [ROWS]
    compact(store)
    assert len(names(store)) == 1 and stored_rows(store) == before


def test_killed_before_the_large_file(store, monkeypatch):
    before = stored_rows(store)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            compact(store)
    assert stored_rows(store) == before and len(small(store)) == FILES


def test_a_large_file_that_reads_back_otherwise_takes_no_small_one_along(store, monkeypatch):
    before, put = stored_rows(store), Store.put

    def cut(self, key, data, *rest):
        rows = pq.read_table(pa.BufferReader(data))
        sink = pa.BufferOutputStream()
        pq.write_table(rows.slice(1), sink)
        put(self, key, sink.getvalue().to_pybytes(), *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", cut)
        with pytest.raises(Damaged, match="could not be read back"):
            compact(store)
    assert stored_rows(store) == before and len(small(store)) == FILES


def test_what_is_damaged_or_of_another_version_stays(store):
    odd = table([record("odd.jpg")]).append_column("mood", pa.array(["sunny"]))
    sink = pa.BufferOutputStream()
    pq.write_table(odd, sink)
    store.put("records/run=r1/odd.parquet", sink.getvalue().to_pybytes())
    store.put("records/run=r1/torn.parquet", b"PAR1")
    assert compact(store) == FILES
    assert small(store) == ["records/run=r1/odd.parquet", "records/run=r1/torn.parquet"]


def test_a_file_written_anew_since_it_was_read_stays(store, monkeypatch):
    name, put = small(store)[5], compaction._store

    def rewrite(*arguments):
        put(*arguments)
        rows = parse(store.read(name), SCHEMA).to_pylist()
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist([row | {"host": "another"} for row in rows], SCHEMA), sink)
        store.put(name, sink.getvalue().to_pybytes())

    monkeypatch.setattr(compaction, "_store", rewrite)
    assert compact(store) == FILES - 1
    assert small(store) == [name]


def test_files_that_vanish_between_the_listing_and_the_reading(store, monkeypatch):
    read, rivals = Store.read, []

    def read_late(self, key):
        if self is store and not rivals:
            rivals.append(compact(Store(store.root)))
        return read(self, key)

    monkeypatch.setattr(Store, "read", read_late)
    monkeypatch.setattr("colorize_core.ledger.READERS", 1)
    rows = read_records(store)
    assert rivals == [FILES] and sorted(rows["key"].to_pylist()) == [row["key"] for row in stored_rows(store)]


def test_a_listing_that_misses_both_the_small_and_the_large(store, monkeypatch):
    listing, lists = Store.list, []

    def list_late(self, prefix=""):
        lists.append(prefix)
        found = listing(self, prefix)
        if len(lists) == 1:  # what a folder read bit by bit may show while files come and go
            found = list(found)[: FILES // 2]
            compact(Store(store.root))
        yield from found

    monkeypatch.setattr(Store, "list", list_late)
    assert read_records(store).num_rows == ROWS


def test_readers_and_rivals_at_the_same_time(store, monkeypatch):
    monkeypatch.setattr(compaction, "FILES", 4)
    for name in ("r2", "r3"):
        fill(store, name)
    rivals = [threading.Thread(target=compact, args=(Store(store.root),)) for _ in range(2)]
    for rival in rivals:
        rival.start()
    counts = [read_records(store).num_rows]
    while any(rival.is_alive() for rival in rivals):
        counts.append(read_records(store).num_rows)
        assert recorded(store) == 3 * [ROWS]
    assert set(counts) == {3 * ROWS} and not small(store)
    assert read_records(store).num_rows == 3 * ROWS


@pytest.mark.parametrize("trouble", [StorageError("the bucket is gone"), KeyboardInterrupt(), RuntimeError("a bug")])
def test_a_merge_that_fails_is_no_failure_of_the_job(store, monkeypatch, capsys, trouble):
    def fail(store):
        raise trouble

    with monkeypatch.context() as patch:
        patch.setattr("jobs.colorize.compact", fail)
        merge_records(store)
    said = capsys.readouterr()
    assert "the next run goes on" in said.out if isinstance(trouble, KeyboardInterrupt) else str(trouble) in said.err
    merge_records(store)
    assert not small(store) and not capsys.readouterr().out
