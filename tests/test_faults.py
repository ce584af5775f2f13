"""The campaign of faults in short, and its judge, who must find what he looks for."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest
from command import ROOT
from faults.archive import photographs
from faults.judge import judge, look
from outputs import record

from colorize_core.keys import TEMPORARY
from colorize_core.records import write_records
from colorize_core.storage import Store


@pytest.mark.slow
def test_a_job_that_is_killed_and_refused_ends_as_if_nothing_had_happened(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "faults.campaign", "--server", "moto", "--photos", "60", "--nodes", "2", "--runs",
         "short", "--out", tmp_path],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    short = json.loads((tmp_path / "short.json").read_text())
    assert {fault["kind"] for fault in short["faults"]} == {"kill_actor", "failing_storage", "kill_driver"}
    assert short["photos"] >= 60 and not short["missed"] and short["ends"][0] == -9
    assert sum(short["bad_answers"].values()) >= 3
    zeros = "lost", "doubled", "differing", "extra", "input_changed", "hung", "speechless", "given_up"
    assert {name: short[name] for name in zeros} == dict.fromkeys(zeros, 0)


@pytest.fixture
def left_behind(moto_s3, monkeypatch, request):
    """Looks at what a run left in a bucket: three photographs and a bad one; and the store to change it."""
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    bucket = f"judged-{abs(hash(request.node.name))}"
    store = Store(moto_s3.make_bucket(bucket) + "/out")
    for i in range(3):
        store.put(f"photos/{i}.jpg", b"picture %d" % i)
    write_records(store, "r1", [colorized(i) for i in range(3)])
    write_records(store, "r1", [record("bad.jpg", status="rejected", error_class="truncated")])
    return store, lambda: look(moto_s3.client(), bucket, "out/")


def colorized(i: int, **values):
    sha256 = hashlib.sha256(b"picture %d" % i).hexdigest()
    return record(f"{i}", output_key=f"photos/{i}.jpg", output_sha256=sha256, **values)


def lose(store: Store) -> None:
    for entry in list(store.list("records/")):
        if b"bad.jpg" in store.read(entry.key):
            store.delete(entry.key)


def add(store: Store, row) -> None:
    write_records(store, "r2", [row])


def trouble(verdict) -> dict[str, int]:
    names = "lost", "doubled", "differing", "extra"
    return {name: getattr(verdict, name) for name in names if getattr(verdict, name)}


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda store: None, {}),
        (lose, {"lost": 1}),
        (lambda store: add(store, record("1", status="failed", attempt=2)), {"lost": 1, "differing": 1}),
        (lambda store: add(store, record("bad.jpg", status="rejected", error_class="crashed", attempt=2)), {"lost": 1}),
        (lambda store: add(store, colorized(1, source_etag="another")), {"doubled": 1}),
        (lambda store: store.put("photos/1.jpg", b"picture l"), {"differing": 1}),
        (lambda store: store.delete("photos/1.jpg"), {"differing": 1}),
        (lambda store: store.put("photos/3.jpg", b"picture 3"), {"extra": 1}),
        (lambda store: add(store, colorized(3)), {"extra": 1}),
    ],
    ids=["nothing", "no row", "failed", "another error", "two rows", "bytes", "no derivative", "a derivative", "a row"],
)  # fmt: skip
def test_the_judge_finds(left_behind, damage, found):
    store, see = left_behind
    reference = see()
    damage(store)
    assert trouble(judge(see(), reference)) == found


def test_the_judge_counts_rows_written_again_and_things_left_lying(left_behind):
    store, see = left_behind
    reference = see()
    add(store, colorized(1, attempt=2))
    store.put("runs/r1/in-hand/block", b"{}")
    store.put(f"photos/{TEMPORARY}1", b"half")
    verdict = judge(see(), reference)
    assert (verdict.repeated_rows, verdict.notes_left, verdict.unfinished_left) == (1, 1, 1)
    assert trouble(verdict) == {"extra": 1}


def test_the_archive_is_the_same_again_and_its_good_photographs_all_differ():
    photos = list(photographs(120, seed=3))
    assert photos == list(photographs(120, seed=3)) != list(photographs(120, seed=4))
    assert len({key for key, _ in photos}) == 120
    good = [data for key, data in photos if "/scan " in key]
    assert len(set(good)) == len(good) == 116
