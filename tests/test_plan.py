from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from colorize_core.keys import readable
from colorize_core.plan import TODO, ManifestError, history, make_plan, read_manifest, retry_plan
from colorize_core.records import Record, Status, write_records
from colorize_core.storage import Entry, Store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    for name in ("a.jpg", "b.tif", "box 1/c.png", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return Store(str(folder))


@pytest.fixture
def output(tmp_path):
    (tmp_path / "out").mkdir()
    return Store(str(tmp_path / "out"))


def record(
    entry: Entry, status: Status, recipe: str = "r", page: int = 0, pages: int | None = 1, minute: int = 0, **more
):
    return Record(
        entry.key, page, "uri", entry.size, entry.etag, recipe, status, f"run{minute}", source_pages=pages,
        attempt=minute + 1, finished_at=NOON + timedelta(minutes=minute), **more,
    )  # fmt: skip


def planned(source, output, recipe="r", **options) -> set[str]:
    plan = make_plan(source.list(), history(output, recipe), **options)
    return attempts(plan).keys()


def attempts(plan) -> dict[str, int]:
    assert plan.todo.schema.equals(TODO)
    return {os.fsdecode(row["key"]): row["attempt"] for row in plan.todo.to_pylist()}


def etags(plan) -> dict[str, str]:
    return {os.fsdecode(row["key"]): row["etag"] for row in plan.todo.to_pylist()}


def test_the_first_run_does_everything(source, output):
    assert planned(source, output) == {"a.jpg", "b.tif", "box 1/c.png", "notes.txt"}


def test_done_is_done_failed_is_not(source, output):
    a, b = source.stat("a.jpg"), source.stat("b.tif")
    c, notes = source.stat("box 1/c.png"), source.stat("notes.txt")
    rows = [record(a, Status.COLORIZED), record(b, Status.FAILED), record(c, Status.SKIPPED_COLOR)]
    write_records(output, "run0", [*rows, record(notes, Status.REJECTED)])
    assert planned(source, output) == {"b.tif"}
    assert planned(source, output, force=True) == {"a.jpg", "b.tif", "box 1/c.png", "notes.txt"}
    write_records(output, "run1", [record(b, Status.COLORIZED, minute=1)])
    assert planned(source, output) == set()


def test_another_recipe_or_another_scan_under_the_key_is_done_again(source, output, tmp_path):
    write_records(output, "run0", [record(entry, Status.COLORIZED) for entry in source.list()])
    assert planned(source, output) == set()
    assert len(planned(source, output, recipe="another")) == 4
    (tmp_path / "in" / "a.jpg").write_bytes(b"a better scan")
    assert planned(source, output) == {"a.jpg"}


def test_a_file_is_done_when_every_page_is(source, output):
    b = source.stat("b.tif")
    write_records(output, "run0", [record(b, Status.COLORIZED, page=p, pages=3) for p in (0, 2)])
    assert "b.tif" in planned(source, output)
    write_records(output, "run1", [record(b, Status.COLORIZED, page=1, pages=3, minute=1)])
    assert "b.tif" not in planned(source, output)


def test_attempts_are_counted(source, output):
    write_records(output, "run0", [record(source.stat("a.jpg"), Status.FAILED, minute=2)])
    plan = make_plan(source.list(), history(output, "r"))
    assert attempts(plan) == {"a.jpg": 4, "b.tif": 1, "box 1/c.png": 1, "notes.txt": 1}
    assert plan.bytes == sum(entry.size for entry in source.list())


def test_a_limit_ends_the_listing(source, output):
    entries = [Entry(f"{i:05}.jpg", i, "e") for i in range(40_000)]
    write_records(output, "run0", [record(entry, Status.COLORIZED) for entry in entries[:100]])
    plan = make_plan(iter(entries), history(output, "r"), limit=17_000)
    assert (plan.listed, plan.already_done, len(plan.todo)) == (17_100, 100, 17_000)
    assert plan.todo["key"][-1].as_py() == b"17099.jpg" and plan.bytes == sum(range(100, 17_100))
    plan = make_plan(iter(entries), history(output, "r"), force=True)
    assert (plan.listed, plan.already_done, len(plan.todo)) == (40_000, 0, 40_000)
    assert plan.todo["attempt"].to_pylist() == [2] * 100 + [1] * 39_900


def test_names_that_are_no_text(source, output, tmp_path):
    name = b"caf\xe9 \xff.jpg"
    (tmp_path / "in" / os.fsdecode(name)).write_bytes(b"scan")
    plan = make_plan(source.list(), history(output, "r"), include=["caf*"])
    assert plan.todo["key"].to_pylist() == [name]
    entry = source.stat(os.fsdecode(name))
    write_records(output, "run0", [record(replace(entry, key=readable(entry.key)), Status.COLORIZED)])
    assert os.fsdecode(name) not in planned(source, output)


def test_half_a_fingerprint_in_common_hides_no_scan(source, output):
    entries = list(source.list())
    write_records(output, "run0", [record(entry, Status.COLORIZED) for entry in entries])
    past = history(output, "r")
    changed = replace(past, scans=past.scans + np.array([0, 1], np.uint64))
    assert len(make_plan(entries, past).todo) == 0
    assert len(make_plan(entries, changed).todo) == len(entries)


def test_patterns_and_limit(source, output):
    assert planned(source, output, include=["*.jpg", "box*"]) == {"a.jpg", "box 1/c.png"}
    assert planned(source, output, exclude=["*.txt"]) == {"a.jpg", "b.tif", "box 1/c.png"}
    assert len(planned(source, output, limit=2)) == 2


def test_retry_takes_failed_and_rejected_at_their_present_version(source, output, tmp_path):
    a, b, notes = source.stat("a.jpg"), source.stat("b.tif"), source.stat("notes.txt")
    write_records(
        output, "run0", [record(a, Status.COLORIZED), record(b, Status.FAILED), record(notes, Status.REJECTED)]
    )
    (tmp_path / "in" / "b.tif").write_bytes(b"mended")
    plan = retry_plan(source, history(output, "r"))
    assert attempts(plan) == {"b.tif": 2, "notes.txt": 2}
    assert etags(plan)["b.tif"] == source.stat("b.tif").etag != b.etag
    (tmp_path / "in" / "b.tif").unlink()
    plan = retry_plan(source, history(output, "r"))
    assert etags(plan)["b.tif"] == "" and plan.bytes == notes.size


def test_manifests(source, tmp_path):
    wanted = {e.key: e for e in source.list() if e.key != "notes.txt"}
    csv = tmp_path / "inventory.csv"
    csv.write_text("Key\na.jpg\nbox 1/c.png\n" + source.uri("b.tif") + "\n")
    assert {e.key: e for e in read_manifest(str(csv), source)} == wanted
    parquet = tmp_path / "inventory.parquet"
    columns = {
        "key": list(wanted),
        "size": [e.size for e in wanted.values()],
        "e_tag": [f'"{e.etag}"' for e in wanted.values()],
    }
    pq.write_table(pa.table(columns), parquet)
    assert {e.key: e for e in read_manifest(str(parquet), source)} == wanted


def test_the_names_of_a_manifest_stay_as_they_are(source, tmp_path):
    rows = [f"{i:04},{i},{i:032}" for i in range(20_000)] + ["box 1/a.jpg,7,d41d8cd98f00b204e9800998ecf8427e"]
    (tmp_path / "m.csv").write_text("key,size,etag\n" + "\n".join(rows) + "\n")
    entries = list(read_manifest(str(tmp_path / "m.csv"), source))
    assert entries[12] == Entry("0012", 12, f"{12:032}")
    assert entries[-1] == Entry("box 1/a.jpg", 7, "d41d8cd98f00b204e9800998ecf8427e")


def test_what_a_manifest_leaves_out_is_asked_of_the_store(source, tmp_path):
    (tmp_path / "m.csv").write_text("key,size,etag\na.jpg,,\nb.tif,1,e\ngone.jpg,,\n")
    found = list(read_manifest(str(tmp_path / "m.csv"), source))
    assert found == [source.stat("a.jpg"), source.stat("b.tif"), Entry("gone.jpg", 0, "")]


def test_a_manifest_without_keys_is_named(source, tmp_path):
    (tmp_path / "m.csv").write_text("file,bytes\na.jpg,5\n")
    with pytest.raises(ManifestError, match="no column named key"):
        list(read_manifest(str(tmp_path / "m.csv"), source))
    (tmp_path / "m.csv").write_bytes(b"PAR1 but not really")
    with pytest.raises(ManifestError, match="neither Parquet nor CSV"):
        list(read_manifest(str(tmp_path / "m.csv"), source))
