"""The status of an output folder, told from the folder alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from outputs import BEGAN, COMMAND, record, run, write_output, write_records, write_run

from colorize_core.runs import next_command, retry_command
from colorize_core.storage import Store
from jobs.status import main, summarize

RETRY = f"{COMMAND} --retry-failed"
NOW = BEGAN + timedelta(minutes=5)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "color out"))


def running(silent: timedelta, **values) -> dict:
    return run(
        state="running", exit_code=None, finished_at=None, updated_at=(NOW - silent).isoformat(), **values
    )  # fmt: skip


def rows(store: Store, **statuses: int) -> None:
    write_records(
        store,
        [
            record(
                f"{status} {i}.jpg",
                status=status,
                width=2000,
                height=1000,
                error_class="NotFound" if status == "failed" else "corrupt" if status == "rejected" else None,
                error_message=f"{status} because of {i}" if status in ("failed", "rejected") else None,
            )
            for status, n in statuses.items()
            for i in range(n)
        ],
    )


def test_a_running_job_is_counted_by_its_own_summary(store):
    write_run(store, running(timedelta(seconds=9), planned=100, done=40, rate_per_s=2.0, already_done=7))
    rows(store, colorized=30)
    summary = summarize(store, NOW)
    (told,) = summary["runs"]
    assert (told["state"], told["done"], told["recorded"], told["percent"]) == ("running", 40, 30, 40.0)
    assert told["eta_s"] == 30.0
    assert summary["next_command"] == COMMAND


def test_a_silent_job_is_dead_and_counted_by_its_records(store):
    write_run(store, running(timedelta(minutes=2, seconds=1), planned=100, done=40))
    rows(store, colorized=30)
    summary = summarize(store, NOW)
    (told,) = summary["runs"]
    assert (told["state"], told["done"], told["percent"], told["eta_s"]) == ("died or stalled", 30, 30.0, None)
    assert "continues" in summary["advice"] and summary["next_command"] == COMMAND


def test_errors_are_counted_by_class_with_an_example(store):
    write_run(store, run(state="too_many_failures", exit_code=3, planned=14, done=14))
    rows(store, colorized=8, rejected=2, failed=3, skipped_color=1)
    summary = summarize(store, NOW)
    totals = summary["totals"]
    assert totals["counts"] == {"colorized": 8, "skipped_color": 1, "rejected": 2, "failed": 3}
    assert totals["bytes"] == 14 * 100_000 and totals["pixels"] == 14 * 2_000_000
    assert [(e["error_class"], e["count"], e["example"]["key"]) for e in totals["errors"]] == [
        ("NotFound", 3, "failed 0.jpg"),
        ("corrupt", 2, "rejected 0.jpg"),
    ]
    assert "3 failed and 2 rejected" in summary["advice"] and summary["next_command"] == RETRY


def test_a_photo_that_a_later_run_mended_is_no_failure_any_more(store):
    write_run(store, run("r1", planned=1, done=1))
    write_run(store, run("r2", started_at=NOW.isoformat(), planned=1, done=1))
    write_records(store, [record("a.jpg", status="failed", error_class="NotFound")])
    write_records(store, [record("a.jpg", run="r2", attempt=2, finished_at=NOW)])
    summary = summarize(store, NOW)
    assert [r["counts"]["failed"] for r in summary["runs"]] == [1, 0]
    assert summary["totals"]["photos"] == 1 and summary["totals"]["errors"] == []
    assert summary["next_command"] is None and summary["advice"] == "nothing is left to do"


def test_pages_of_one_scan_are_one_scan_done(store):
    write_run(store, running(timedelta(hours=1), planned=2))
    write_records(store, [record("album.tif", page=page) for page in range(5)])
    (told,) = summarize(store, NOW)["runs"]
    assert (told["done"], told["percent"], told["recorded"]) == (1, 50.0, 5)


def test_a_retry_leaves_out_what_chooses_other_scans():
    command = (
        "python -m jobs.colorize in 'out put' --manifest all.csv --force --manifest=b.csv --retry-failed --limit 3"
    )
    assert retry_command(command) == "python -m jobs.colorize in 'out put' --limit 3 --retry-failed"
    again = "python -m jobs.colorize in 'out put' --manifest all.csv --manifest=b.csv --limit 3"
    assert next_command(command) == again


def test_records_without_a_summary_count(store):
    rows(store, colorized=2)
    (told,) = summarize(store, NOW)["runs"]
    assert (told["run"], told["state"], told["done"], told["planned"]) == ("r1", "unknown", 2, None)


def test_a_job_that_has_only_begun(store):
    write_run(store, running(timedelta(0), planned=0, done=0, rate_per_s=0.0))
    (told,) = summarize(store, NOW)["runs"]
    assert (told["state"], told["percent"], told["eta_s"]) == ("running", None, None)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_line(tmp_path, capsys, as_json):
    _, output = write_output(tmp_path)
    arguments = [output.root.removeprefix("file://")] + ["--json"] * as_json
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    if as_json:
        assert json.loads(printed)["totals"]["photos"] == 53
        return
    assert "53 of 53 (100.0 %)" in printed
    assert "12 colorized, 1 skipped color, 30 rejected, 10 failed" in printed
    assert "10 × not_an_image (rejected)" in printed
    assert printed.rstrip().endswith(RETRY)
    assert all(line.isprintable() for line in printed.splitlines())


def test_the_live_and_the_dead_on_the_command_line(store, capsys):
    now = datetime.now(UTC)
    live = run("r2", state="running", exit_code=None, started_at=now.isoformat(), updated_at=now.isoformat())
    write_run(store, live | {"planned": 1000, "done": 250, "rate_per_s": 0.1})
    write_run(store, run("r1", state="running", exit_code=None))
    assert main([store.root]) == 0
    printed = capsys.readouterr().out
    assert "run r1  died or stalled (last sign of life" in printed
    assert "250 of 1,000 (25.0 %)" in printed and "2 h 05 min to go" in printed


@pytest.mark.parametrize("kind", ["missing", "empty", "other", "file", "bad address"])
def test_a_folder_that_is_no_output_is_refused_with_a_sentence(tmp_path, capsys, kind):
    folder = tmp_path / "somewhere"
    if kind != "missing":
        folder.mkdir()
    if kind == "other":
        (folder / "holiday.jpg").write_bytes(b"picture")
    if kind == "file":
        folder = folder / "file"
        folder.write_bytes(b"")
    assert main(["ftp://nowhere" if kind == "bad address" else str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("status: ") and len(said.err.splitlines()) == 1


def test_a_summary_that_is_no_json_is_named(store, capsys):
    store.put("runs/r1.json", b'{"run": "r1", "sta')
    assert main([store.root]) == 2
    assert "runs/r1.json is not the summary of a run" in capsys.readouterr().err
