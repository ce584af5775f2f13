from __future__ import annotations

import os
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from colorize_core import plan as planning
from colorize_core.hints import SUFFIX
from colorize_core.keys import readable
from colorize_core.manifest import read_manifest
from colorize_core.plan import TODO, history, make_plan, retry_plan
from colorize_core.records import Record, Status, write_records
from colorize_core.sidecars import text_of
from colorize_core.storage import Entry, Store

RED = b'{"palette": ["#a01c1c", "#b04040"]}'
BLUE = b'{"palette": ["#1c1ca0", "#4040b0"]}'
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


def digest_of(recipe: str):
    """The digest of a recipe with hints, which can be read here."""
    return lambda hints: recipe if hints is None else f"{recipe} with {hints}"


R = digest_of("r")


def work(source, output, minute: int, recipe="r", entries=None, **options) -> dict[str, str | None]:
    """Plan, and record all of it as done: the hints of each scan that was to do."""
    digest = digest_of(recipe)
    entries = list(entries or source.list())
    plan = make_plan(source, entries, history(output), digest, **options)
    if not options.keys() - {"hints"}:
        scans = sum(not entry.key.endswith(SUFFIX) for entry in entries)
        assert (plan.listed, plan.already_done) == (scans, scans - len(plan.todo))
    return settle(output, plan, minute, digest)


def settle(output, plan, minute: int, digest) -> dict[str, str | None]:
    done = []
    for row in plan.todo.to_pylist():
        entry = Entry(readable(os.fsdecode(row["key"])), row["size"], row["etag"])
        made = record(entry, Status.COLORIZED, digest(row["hints"]), minute=minute)
        done.append(replace(made, attempt=row["attempt"]))
    if done:
        write_records(output, f"run{minute}", done)
    return {os.fsdecode(row["key"]): row["hints"] for row in plan.todo.to_pylist()}


def planned(source, output, recipe="r", **options) -> set[str]:
    plan = make_plan(source, source.list(), history(output), digest_of(recipe), **options)
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
    plan = make_plan(source, source.list(), history(output), R)
    assert attempts(plan) == {"a.jpg": 4, "b.tif": 1, "box 1/c.png": 1, "notes.txt": 1}
    assert plan.bytes == sum(entry.size for entry in source.list())


def test_a_limit_ends_the_listing(source, output):
    entries = [Entry(f"{i:05}.jpg", i, "e") for i in range(40_000)]
    write_records(output, "run0", [record(entry, Status.COLORIZED) for entry in entries[:100]])
    plan = make_plan(source, iter(entries), history(output), R, limit=17_000)
    assert (plan.listed, plan.already_done, len(plan.todo)) == (17_100, 100, 17_000)
    assert plan.todo["key"][-1].as_py() == b"17099.jpg" and plan.bytes == sum(range(100, 17_100))
    plan = make_plan(source, iter(entries), history(output), R, force=True)
    assert (plan.listed, plan.already_done, len(plan.todo)) == (40_000, 0, 40_000)
    assert plan.todo["attempt"].to_pylist() == [2] * 100 + [1] * 39_900


def test_names_that_are_no_text(source, output, tmp_path):
    name = b"caf\xe9 \xff.jpg"
    (tmp_path / "in" / os.fsdecode(name)).write_bytes(b"scan")
    plan = make_plan(source, source.list(), history(output), R, include=["caf*"])
    assert plan.todo["key"].to_pylist() == [name]
    entry = source.stat(os.fsdecode(name))
    write_records(output, "run0", [record(replace(entry, key=readable(entry.key)), Status.COLORIZED)])
    assert os.fsdecode(name) not in planned(source, output)


def test_half_a_fingerprint_in_common_hides_no_scan(source, output):
    entries = list(source.list())
    write_records(output, "run0", [record(entry, Status.COLORIZED) for entry in entries])
    past = history(output)
    changed = replace(past, scans=past.scans + np.array([0, 1], np.uint64))
    assert len(make_plan(source, entries, past, R).todo) == 0
    assert len(make_plan(source, entries, changed, R).todo) == len(entries)


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
    plan = retry_plan(source, history(output), R)
    assert attempts(plan) == {"b.tif": 1, "notes.txt": 2}  # the mended one for the first time
    assert etags(plan)["b.tif"] == source.stat("b.tif").etag != b.etag
    (tmp_path / "in" / "b.tif").unlink()
    plan = retry_plan(source, history(output), R)
    assert etags(plan)["b.tif"] == "" and plan.bytes == notes.size


def test_the_last_record_counts_not_any(source, output):
    """The folder holds what was made last, whatever was made before."""
    assert work(source, output, 0).keys() == {"a.jpg", "b.tif", "box 1/c.png", "notes.txt"}
    assert len(work(source, output, 1, recipe="other", include=["*.jpg", "b*"])) == 3
    assert work(source, output, 2).keys() == {"a.jpg", "b.tif", "box 1/c.png"}
    assert work(source, output, 3) == {}
    assert len(work(source, output, 4, recipe="other")) == 4


def test_an_older_scan_put_back_is_done_again(source, output, tmp_path):
    path = tmp_path / "in" / "a.jpg"
    first = path.read_bytes(), path.stat().st_mtime_ns
    work(source, output, 0)
    path.write_bytes(b"a scan that turned out worse")
    assert work(source, output, 1).keys() == {"a.jpg"}
    path.write_bytes(first[0])
    os.utime(path, ns=(first[1], first[1]))
    assert attempts(make_plan(source, source.list(), history(output), R)) == {"a.jpg": 2}


@pytest.mark.parametrize("status", [Status.COLORIZED, Status.FAILED, Status.REJECTED])
def test_a_page_that_another_recipe_had_last_has_its_file_done_again(source, output, status):
    b = source.stat("b.tif")
    write_records(output, "run0", [record(b, Status.COLORIZED, page=p, pages=3) for p in range(3)])
    write_records(output, "run1", [record(b, status, "other", page=1, pages=3, minute=1)])
    assert "b.tif" in planned(source, output)
    write_records(output, "run2", [record(b, Status.COLORIZED, page=1, pages=3, minute=2)])
    assert "b.tif" not in planned(source, output)


def test_of_two_records_of_a_moment_the_later_attempt_is_the_last(source, output):
    a = source.stat("a.jpg")
    rows = [record(a, Status.COLORIZED), replace(record(a, Status.COLORIZED, "other"), attempt=2)]
    write_records(output, "run0", rows)
    assert "a.jpg" in planned(source, output) and "a.jpg" not in planned(source, output, recipe="other")


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path, monkeypatch) -> Store:
    if request.param == "folder":
        (tmp_path / "scans").mkdir()
        return Store(str(tmp_path / "scans"))
    server = request.getfixturevalue("moto_s3")
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return Store(server.make_bucket(f"b-{uuid.uuid4()}") + "/scans")


@pytest.mark.parametrize("limit", [None, 100])
def test_hints_come_and_change_and_go(place, output, limit):
    def run(minute: int) -> dict[str, str | None]:
        return work(place, output, minute, limit=limit)

    for name in ("a.tif", "b.tif", "box/c.tif"):
        place.put(name, name.encode())
    place.put("a.tif" + SUFFIX, RED)
    place.put("letter.txt" + SUFFIX, BLUE)  # of no scan
    assert run(0) == {"a.tif": text_of(RED), "b.tif": None, "box/c.tif": None}
    assert run(1) == {}
    place.put("b.tif" + SUFFIX, BLUE)
    assert run(2) == {"b.tif": text_of(BLUE)}
    place.put("b.tif" + SUFFIX, BLUE.replace(b" ", b"\n  "))
    assert run(3) == {}
    place.put("b.tif" + SUFFIX, RED)
    assert run(4) == {"b.tif": text_of(RED)}
    place.put("b.tif" + SUFFIX, BLUE)
    assert run(5) == {"b.tif": text_of(BLUE)}
    place.delete("b.tif" + SUFFIX)
    assert run(6) == {"b.tif": None}
    place.put("a.tif", b"another scan")
    assert run(7) == {"a.tif": text_of(RED)}
    assert run(8) == {}
    plan = make_plan(place, place.list(), history(output), R, limit=limit)
    assert (plan.listed, plan.already_done, len(plan.todo), plan.orphans) == (3, 3, 0, 1)
    plan = make_plan(place, place.list(), history(output), R, force=True)
    assert attempts(plan) == {"a.tif": 2, "b.tif": 3, "box/c.tif": 2}
    assert {row["key"]: row["hints"] for row in plan.todo.to_pylist()}[b"a.tif"] == text_of(RED)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_the_order_of_a_listing_does_not_matter(source, output, monkeypatch, backward, chunk):
    monkeypatch.setattr(planning, "CHUNK", chunk)
    monkeypatch.setattr(planning, "FILES", 2)
    for i in range(5):
        source.put(f"{i}.tif", b"scan")
        source.put(f"{i}.tif" + SUFFIX, RED)
    entries = sorted(source.list(), key=lambda entry: entry.key, reverse=backward)
    hinted = {f"{i}.tif": text_of(RED) for i in range(5)}
    plain = dict.fromkeys(["a.jpg", "b.tif", "box 1/c.png", "notes.txt"])
    assert work(source, output, 0, entries=entries) == hinted | plain
    assert work(source, output, 1, entries=entries) == {}
    source.put("a.jpg" + SUFFIX, BLUE)
    source.put("3.tif" + SUFFIX, BLUE)
    assert work(source, output, 2) == {"a.jpg": text_of(BLUE), "3.tif": text_of(BLUE)}


def test_hints_that_cannot_be_used_are_tried_once(source, output):
    source.put("a.jpg" + SUFFIX, b"{ a pencil note")
    plan = make_plan(source, source.list(), history(output), R, include=["a*"])
    assert [row["hints"] for row in plan.todo.to_pylist()] == ["{ a pencil note"]
    rejected = record(source.stat("a.jpg"), Status.REJECTED, R("{ a pencil note"))
    write_records(output, "run0", [rejected])
    assert planned(source, output, include=["a*"]) == set()
    assert attempts(retry_plan(source, history(output), R)) == {"a.jpg": 2}
    source.put("a.jpg" + SUFFIX, RED)
    assert work(source, output, 1, include=["a*"]) == {"a.jpg": text_of(RED)}


def test_a_limit_does_nothing_without_its_hints(source, output):
    entries = list(source.list())
    for entry in entries:
        source.put(entry.key + SUFFIX, RED)
    scans = iter([*entries, *source.list("b")])
    plan = make_plan(source, scans, history(output), R, limit=3)
    assert plan.todo["hints"].to_pylist() == [text_of(RED)] * 3
    assert (plan.listed, plan.already_done) == (3, 0)
    settle(output, plan, 0, R)
    plan = make_plan(source, iter(entries), history(output), R, limit=3)
    assert (plan.listed, plan.already_done) == (4, 3) and attempts(plan) == {entries[3].key: 1}
    source.delete(entries[0].key + SUFFIX)
    plan = make_plan(source, iter(entries), history(output), R, limit=1)
    assert (plan.listed, plan.already_done) == (1, 0)
    assert plan.todo["hints"].to_pylist() == [None]


def test_a_limit_holds_for_scans_that_were_done_without_their_hints(source, output):
    work(source, output, 0)
    for name in ("a.jpg", "b.tif"):
        source.put(name + SUFFIX, RED)
    plan = make_plan(source, source.list(), history(output), R, limit=1)
    assert (plan.listed, plan.already_done, plan.todo["hints"].to_pylist()) == (3, 2, [text_of(RED)])


def test_a_limit_ends_the_listing_at_the_scan_that_fills_it(source, output):
    listing = iter(entries := [Entry(f"{i}.jpg", 1, "e") for i in range(planning.CHUNK * 3)])
    assert len(make_plan(source, listing, history(output), R, limit=2).todo) == 2
    assert next(listing) == entries[planning.CHUNK]


def test_a_name_too_long_for_hints_has_none(source, output):
    source.put("x" * 250, b"scan")
    assert len(planned(source, output, limit=5)) == 5


def test_patterns_are_of_scans(source, output):
    for name in ("a.jpg", "b.tif", "gone.jpg"):
        source.put(name + SUFFIX, RED)
    plan = make_plan(source, source.list(), history(output), R, include=["*.jpg", "*.json"])
    assert plan.todo["key"].to_pylist() == [b"a.jpg"] and (plan.listed, plan.orphans) == (1, 1)


def test_hints_of_no_scan_are_counted(source, output):
    for name in ("gone.jpg", "box 1", "", "box 1/", "a.jpg" + SUFFIX):
        source.put(name + SUFFIX, RED)
    plan = make_plan(source, source.list(), history(output), R)
    assert (plan.listed, len(plan.todo), plan.orphans) == (4, 4, 5)


def test_hints_beside_names_that_are_no_text(source, output, tmp_path):
    name = b"caf\xe9.jpg"
    for path, data in ((name, b"scan"), (name + SUFFIX.encode(), RED)):
        (tmp_path / "in" / os.fsdecode(path)).write_bytes(data)
    assert work(source, output, 0, include=["caf*"]) == {os.fsdecode(name): text_of(RED)}
    assert work(source, output, 1, include=["caf*"]) == {}


def test_a_table_of_hints_stands_instead_of_the_files(source, output):
    source.put("a.jpg" + SUFFIX, RED)
    table = {"b.tif": BLUE.decode(), "gone.tif": RED.decode(), "notes.txt": "{ a pencil note"}
    told = {"a.jpg": None, "b.tif": text_of(BLUE), "box 1/c.png": None, "notes.txt": "{ a pencil note"}
    plan = make_plan(source, source.list(), history(output), R, hints=table)
    assert settle(output, plan, 0, R) == told and (plan.listed, plan.orphans) == (4, 1)
    assert work(source, output, 1, hints=table) == work(source, output, 2, hints=table, limit=1) == {}
    assert make_plan(source, source.list(), history(output), R, hints=table, include=["b*"]).orphans == 0
    table["b.tif"] = RED.decode()
    assert work(source, output, 3, hints=table, limit=1) == {"b.tif": text_of(RED)}
    assert work(source, output, 4) == {"a.jpg": text_of(RED), "b.tif": None, "notes.txt": None}


def test_a_manifest_lists_hints_too(source, output, tmp_path):
    def run(minute: int, *names: str, listed: int) -> dict[str, str | None]:
        (tmp_path / "m.csv").write_text("\n".join(["key", *names]))
        plan = make_plan(source, read_manifest(str(tmp_path / "m.csv"), source), history(output), R)
        assert (plan.listed, plan.already_done, plan.orphans) == (listed, listed - len(plan.todo), 0)
        return settle(output, plan, minute, R)

    source.put("a.jpg" + SUFFIX, RED)
    source.put("b.tif" + SUFFIX, RED)
    assert run(0, "a.jpg", "b.tif", "a.jpg" + SUFFIX, listed=2) == {"a.jpg": text_of(RED), "b.tif": None}
    assert run(1, "a.jpg", "b.tif", "a.jpg" + SUFFIX, listed=2) == {}
    # one that is listed without its scan brings it along: done without hints, never done, done with these
    source.put("notes.txt" + SUFFIX, RED)
    names = ["a.jpg" + SUFFIX, "b.tif" + SUFFIX, "notes.txt" + SUFFIX]
    assert run(2, *names, listed=3) == {"b.tif": text_of(RED), "notes.txt": text_of(RED)}
    assert run(3, *names, listed=3) == {}


def test_retry_looks_for_hints(source, output):
    a, b, c = source.stat("a.jpg"), source.stat("b.tif"), source.stat("box 1/c.png")
    rows = [record(a, Status.FAILED, R(text_of(RED))), record(b, Status.REJECTED, "other")]
    write_records(output, "run0", [*rows, record(c, Status.FAILED)])
    write_records(output, "run1", [record(c, Status.COLORIZED, "other", minute=1)])
    for name in ("a.jpg", "notes.txt"):
        source.put(name + SUFFIX, RED)
    plan = retry_plan(source, history(output), R)
    assert attempts(plan) == {"a.jpg": 2, "b.tif": 1}
    plan = retry_plan(source, history(output), R, hints={"b.tif": BLUE.decode()})
    assert settle(output, plan, 2, R) == {"a.jpg": None, "b.tif": text_of(BLUE)}
    assert len(retry_plan(source, history(output), R).todo) == 0
