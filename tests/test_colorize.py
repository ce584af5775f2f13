"""The colorize job from outside: a command, a folder in, a folder out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from command import ROOT, descendants, digests, kill_tree, ledger, run_job, start_job, write_photographs
from PIL import Image
from tasks import write_archive

from colorize_core.ledger import latest, read_records
from colorize_core.storage import Store
from jobs import colorize
from jobs.interruption import stoppable
from jobs.workers import Impossible, Workers, choose_workers


def summary(output: Path) -> dict:
    (newest,) = sorted((output / "runs").glob("*.json"), key=lambda p: p.stat().st_mtime)[-1:]
    return json.loads(newest.read_text())


def test_one_row_for_every_page(archive_run):
    output, run = archive_run
    assert run.returncode == 0, run.stdout + run.stderr
    table = read_records(Store(str(output)))
    assert Counter(table["status"].to_pylist()) == {"colorized": 6, "skipped_color": 1, "rejected": 2}
    assert len(table) == len(ledger(output)) == 9
    assert all(value is not None for value in table["finished_at"].to_pylist())
    files = {p.relative_to(output).as_posix() for p in (output / "photos").rglob("*") if p.is_file()}
    assert files == {key for key in table["output_key"].to_pylist() if key}


def test_the_last_lines_say_what_happened_and_what_to_do(archive_run):
    _, run = archive_run
    assert "done: 6 colorized, 1 color photos left alone, 2 rejected, 0 failed" in run.stdout
    assert "not_an_image 1" in run.stdout and "truncated 1" in run.stdout
    assert re.search(r"retry them: python -m jobs\.colorize .*--retry-failed", run.stdout)
    assert "Traceback" not in run.stderr


def test_the_run_is_on_file(archive_run):
    output, _ = archive_run
    run = summary(output)
    assert (run["state"], run["exit_code"], run["planned"], run["done"]) == ("finished", 0, 7, 7)
    assert run["counts"] == {"colorized": 6, "skipped_color": 1, "rejected": 2, "failed": 0}
    assert run["model"]["digest"] and run["recipe"]["digest"] and run["versions"]["ray"].startswith("2.60")


def test_no_notes_are_left_behind(archive_run):
    output, _ = archive_run
    assert not [p for p in (output / "runs").rglob("*") if p.is_file() and p.suffix != ".json"]


def test_a_second_run_does_nothing_and_is_quick(archive, archive_run):
    output, _ = archive_run
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*")}
    began = time.monotonic()
    run = run_job(archive, output)
    assert run.returncode == 0 and "nothing to do: all 7 scans are done" in run.stdout
    assert time.monotonic() - began < 15
    assert {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()} == {
        p: t for p, t in before.items() if p.is_file()
    }


def test_too_many_failures_are_exit_code_3_and_a_mended_scan_is_retried(archive, tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    write_archive(folder)
    run = run_job(folder, output, "--max-failed", "10%", "--include", "*.jpg", "--workers", "1")
    assert run.returncode == 3 and "exit code 3: 2 failures are more than --max-failed 10% allows" in run.stdout
    (folder / "cut.jpg").write_bytes((folder / "box 1" / "portrait.jpg").read_bytes())
    run = run_job(folder, output, "--retry-failed", "--max-failed", "1", "--workers", "1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 to do" in run.stdout and "1 colorized" in run.stdout
    rows = {(r["key"], r["status"]): r["attempt"] for r in ledger(output).to_pylist()}
    assert rows["cut.jpg", "colorized"] == 1 and rows["letter.jpg", "rejected"] == 2


@pytest.mark.parametrize("change", ["--force", "--quality=80"])
def test_done_again_when_asked_or_when_the_recipe_changed(archive, archive_run, change):
    output, _ = archive_run
    run = run_job(archive, output, change, "--include", "rocket.tif", "--dry-run")
    assert run.returncode == 0 and "0 done already, 1 to do" in run.stdout


def test_a_dry_run_stores_nothing(archive, tmp_path):
    run = run_job(archive, tmp_path / "out", "--dry-run")
    assert run.returncode == 0 and "7 to do" in run.stdout and "nothing was stored" in run.stdout
    assert re.search(r"about [\d,]+ megapixels and \d+ s with", run.stdout)
    assert not (tmp_path / "out").exists()


def said(capsys, *arguments: str | Path) -> tuple[int, str]:
    code = colorize.main([str(a) for a in arguments])
    return code, capsys.readouterr().err


def test_impossible_wishes_are_refused_in_a_sentence(archive, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    for arguments, sentence in [
        ([tmp_path / "missing", out], "missing"),
        ([tmp_path / "empty", out], "no scans in"),
        ([archive, out, "--include", "*.nothing"], "no scans in"),
        ([archive, archive / "color"], "inside the input"),
        ([archive, archive], "inside the input"),
        ([archive, out, "--model", "nonesuch"], "no weights at"),
        ([archive, out, "--manifest", tmp_path / "none.csv"], "none.csv"),
        ([archive, out, "--autoscaling", "--workers", "9"], "only a cluster"),
        ([archive, out, "--model", "linear", "--precision", "bfloat16"], "the colors of linear in half precision"),
    ]:
        code, error = said(capsys, *arguments)
        assert code == 2 and error.startswith("cannot start: ") and sentence in error, (arguments, error)
    (tmp_path / "link").symlink_to(archive)
    assert said(capsys, archive, tmp_path / "link" / "color")[0] == 2
    (out / "photos").mkdir(parents=True, exist_ok=True)
    assert said(capsys, out / "photos", out)[0] == 2
    assert not list(archive.rglob(".autochrome*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--quality", "0"],
        ["--max-failed", "some"],
        ["--retry-failed", "--force"],
        ["--workers", "0"],
        ["--gpus", "0"],
        ["--autoscaling"],
        ["--metrics", "host"],
        ["--run", "../x"],
    ],
)
def test_wrong_options_are_refused(archive, tmp_path, arguments):
    with pytest.raises(SystemExit) as refusal:
        colorize.main([str(archive), str(tmp_path / "out"), *arguments])
    assert refusal.value.code == 2


@pytest.mark.parametrize(
    ("wish", "cpus", "gpus", "sentence"),
    [
        (["--device", "cuda"], 8, 0, "no GPU"),
        (["--workers", "9"], 8, 0, "9 workers need as many CPUs and the cluster has 8"),
        (["--stages", "split"], 1, 0, "need 2 CPUs"),
        ([], 1, 1, "need 2 CPUs"),
        ([], 0, 0, "say with --autoscaling"),
        (["--gpus", "3"], 8, 2, "2 of 3 GPUs"),
    ],
)
def test_a_plan_that_could_never_run_is_refused(wish, cpus, gpus, sentence):
    args = colorize.parse(["in", "out", *wish])
    with pytest.raises(Impossible, match=sentence):
        choose_workers(args.workers, args.device, args.stages, cpus, gpus, args.gpus)


def test_stages_are_split_around_a_gpu():
    assert choose_workers(None, "auto", "auto", 8, 1) == Workers(8, 1, "cuda", split=True)
    assert choose_workers(None, "auto", "auto", 8, 0) == Workers(8, 0, "cpu", split=False)
    assert choose_workers(3, "auto", "auto", 8, 0) == Workers(3, 0, "cpu", split=False)
    assert choose_workers(None, "auto", "auto", 8, 4, 2) == Workers(8, 2, "cuda", split=True)
    assert choose_workers(None, "cuda", "fused", 8, 2) == Workers(2, 2, "cuda", split=False)  # each holds a GPU


def test_a_gpu_that_is_not_there_is_refused_before_work(archive, tmp_path, capsys):
    code, error = said(capsys, archive, tmp_path / "out", "--device", "cuda")
    assert code == 2 and "there is no GPU here" in error
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.slow
def test_kill_9_loses_nothing(photographs, photographs_run, tmp_path):
    for photos_stored in (3, 17):
        process = start_job(photographs, tmp_path)
        while len(list(tmp_path.glob("photos/*.jpg"))) < photos_stored and process.poll() is None:
            time.sleep(0.05)
        kill_tree(process)
    run = run_job(photographs, tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert digests(tmp_path) == digests(photographs_run)
    assert len(ledger(tmp_path)) == 30
    for path in (photographs_run / "photos").iterdir():
        assert (tmp_path / "photos" / path.name).read_bytes() == path.read_bytes()


def listening(pids: set[int]) -> set[str]:
    """Addresses, in hex as the kernel prints them, on which processes accept TCP connections."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(os.readlink(link))
            except OSError:
                continue
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].rpartition(":")[0])
    return found


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_both_ways_to_stop_are_one(stop):
    with pytest.raises(KeyboardInterrupt), stoppable():
        signal.raise_signal(stop)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.slow
def test_a_stop_is_clean_and_says_how_to_continue(tmp_path):
    write_photographs(tmp_path / "in", 120)  # more than are done before the stop
    output = tmp_path / "out"
    process = start_job(tmp_path / "in", output)
    while not list(output.glob("photos/*.jpg")) and process.poll() is None:
        time.sleep(0.05)
    addresses = listening(descendants(process.pid))
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "nothing is lost. Continue with: python -m jobs.colorize" in said and "Traceback" not in said
    assert summary(output)["state"] == "interrupted"
    assert addresses and addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}  # loopback and nothing else


KILLER = """
import os, sys
if "ray" in " ".join(sys.argv) or os.environ.get("RAY_JOB_ID") or any("default_worker" in a for a in sys.orig_argv):
    from colorize_core import stages
    whole = stages.Finish.__call__
    def poisonous(self, photo):
        if photo.record.key == "scan 005.jpg":
            os.kill(os.getpid(), 9)
        return whole(self, photo)
    stages.Finish.__call__ = poisonous
"""


@pytest.mark.slow
def test_a_photo_that_kills_its_workers_is_rejected_and_its_neighbors_are_not(tmp_path):
    write_photographs(tmp_path / "in", 10)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(KILLER)
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    run = run_job(tmp_path / "in", tmp_path / "out", "--workers", "1", "--max-failed", "1", env={"PYTHONPATH": path})
    assert run.returncode == 0, run.stdout + run.stderr
    rows = {row["key"]: row for row in ledger(tmp_path / "out").to_pylist()}
    assert rows.pop("scan 005.jpg")["error_class"] == "worker_died"
    assert len(rows) == 9 and {row["status"] for row in rows.values()} == {"colorized"}


@pytest.mark.slow
def test_a_hint_redoes_its_photo_and_no_other(archive, archive_run, tmp_path):
    scans, output = tmp_path / "in", tmp_path / "out"
    shutil.copytree(archive, scans), shutil.copytree(archive_run[0], output)
    before = digests(output)
    hints = scans / "box 1" / "portrait.jpg.hints.json"
    hints.write_text('{"size": [300, 260], "points": [{"x": 100, "y": 200, "radius": 9, "color": "#3060c0"}]}')
    added = run_job(scans, output, "--run", "hinted")
    assert "7 scans found, 6 done already, 1 to do" in added.stdout and added.returncode == 0, added.stderr
    record = latest(read_records(Store(str(output)))).filter(pc.field("run") == "hinted").to_pylist()
    assert [(row["key"], row["status"]) for row in record] == [("box 1/portrait.jpg", "colorized")]
    assert len(record[0]["hints"]) == 64
    kept = {p: (output / "photos" / p).read_bytes() for p in ("rocket.tif.jpg", "box 1/portrait.jpg.jpg")}
    assert hashlib.sha256(kept["rocket.tif.jpg"]).hexdigest() == before["rocket.tif", 0]
    assert hashlib.sha256(kept["box 1/portrait.jpg.jpg"]).hexdigest() == record[0]["output_sha256"]
    assert record[0]["output_sha256"] != before["box 1/portrait.jpg", 0]

    def left() -> list[bytes]:
        args = colorize.parse([str(scans), str(output)])
        recipe = colorize.make_recipe(args, colorize.find_models(args))
        return colorize.find_work(args, *colorize.open_stores(args), recipe).todo["key"].to_pylist()

    assert left() == []
    hints.write_text(hints.read_text().replace(" ", ""))  # says the same
    assert left() == []
    hints.write_text(hints.read_text().replace("3060c0", "c03030"))
    assert left() == [b"box 1/portrait.jpg"]
    hints.unlink()
    assert left() == [b"box 1/portrait.jpg"]


def test_the_derivatives_are_labelled(archive_run):
    output, _ = archive_run
    for path in (output / "photos").rglob("*.jpg"):
        with Image.open(path) as image:
            assert b"compositeWithTrainedAlgorithmicMedia" in image.info["xmp"]
            assert image.info["icc_profile"]


def test_the_scans_are_untouched(archive, archive_run, tmp_path):
    write_archive(tmp_path / "again")
    for path in archive.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(archive)).read_bytes()


def test_readback_of_a_derivative_is_color(archive_run):
    output, _ = archive_run
    with Image.open(output / "photos" / "box 1" / "portrait.jpg.jpg") as image:
        rgb = np.asarray(image, np.float32)
    assert np.abs(rgb[..., 0] - rgb[..., 2]).mean() > 3
