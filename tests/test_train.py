"""The training job: what it refuses, what it leaves, and what it survives."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pytest
from color_dataset import write_dataset
from command import descendants, kill_tree, start_job

from colorize_core.curation.dataset import DATASET, SCHEMA, read_block, write_block
from colorize_core.storage import Store
from colorize_core.training.checkpoint import read_checkpoint
from colorize_core.weights import find
from jobs.train import main

PHOTOGRAPHS = 48
RECIPE = """
architecture: gray2lab
steps: 30
batch: 8
canvas: 32
sides: [32]
rate: 3e-3
validate: 5
average: 0.9
augmentation: {flip: 0.5, degrade: true}
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("set")
    write_dataset(str(root), train=PHOTOGRAPHS, val=4, test=4, side=32, per_file=12)
    return root


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipes") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def alone(dataset, recipe, tmp_path_factory) -> Path:
    """A training in this process, on which the others are measured."""
    output = tmp_path_factory.mktemp("alone")
    assert main(["--recipe", str(recipe), str(dataset), str(output), "--workers", "0"]) == 0
    return output


def losses(output: Store) -> list[float]:
    return [entry["loss"] for entry in json.loads(output.read("history.json")) if entry.get("loss") is not None]


def check_that_nothing_was_seen_twice(output: Store, steps: int = 30) -> None:
    """Every step's photographs are new to its epoch: else fewer ids were seen than photographs shown.

    Where a training was gone on with in the middle of an epoch, its last step may have fewer left to show.
    """
    position = read_checkpoint(output).position
    assert position.step == steps and steps * 8 - 8 <= position.photographs <= steps * 8
    assert position.photographs == position.epoch * PHOTOGRAPHS + len(position.seen)


def test_what_a_training_leaves(alone):
    left = {path.name for path in alone.iterdir()}
    assert left == {"checkpoint.pt", "history.json", "loss.png", "samples", "samples.jpg", "small.safetensors",
                    "tensorboard", "training.json"}  # fmt: skip
    model = find(str(alone / "small.safetensors"))
    assert (model.name, model.architecture, model.about["training_photos"]) == ("small", "gray2lab", str(PHOTOGRAPHS))
    check_that_nothing_was_seen_twice(Store(str(alone)))
    first, *_, last = losses(Store(str(alone)))
    assert last < 0.8 * first


def test_the_same_command_again_has_nothing_left_to_do(alone, dataset, recipe, capsys):
    before = (alone / "small.safetensors").read_bytes()
    assert main(["--recipe", str(recipe), str(dataset), str(alone), "--workers", "0"]) == 0
    assert (alone / "small.safetensors").read_bytes() == before and "done:" in capsys.readouterr().out


def test_some_clusters_from_given_weights(alone, dataset, recipe, tmp_path):
    weights = str(alone / "small.safetensors")
    command = [
        "--recipe",
        str(recipe),
        str(dataset),
        str(tmp_path),
        "--workers",
        "0",
        "--steps",
        "2",
        "--validate",
        "2",
    ]
    assert main([*command, "--clusters", "1", "--init", weights, "--batch", "4"]) == 0
    about = find(str(tmp_path / "small.safetensors")).about
    assert json.loads(about["clusters"]) == [1] and int(about["training_photos"]) == PHOTOGRAPHS // 3
    assert json.loads(about["metrics"])["psnr"] > json.loads(find(weights).about["metrics"])["constant_psnr"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--recipe", "nonesuch"], "no recipe at"),
        (["--batch", "100"], "has 48 photographs to train on.*needs at least 100.*smaller --batch"),
        (["--clusters", "0,9"], "has no cluster 9; it has 0, 1"),
        (["--init", "nonesuch"], "no weights at"),
        (["--autoscaling", "--device", "cpu"], "only a cluster brings up nodes"),
        (["--side", "50"], "sides is .50,.; it should be multiples of 32"),
        (
            ["--recipe", "beta", "--batch", "8", "--init", "{alone}/small.safetensors"],
            "weights of gray2lab; .* is beta",
        ),
    ],
)
def test_the_impossible_is_refused_before_any_work(options, said, alone, dataset, recipe, tmp_path, capsys):
    options = [option.format(alone=alone) for option in options]
    assert main(["--recipe", str(recipe), *options, str(dataset), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error), error
    assert not (tmp_path / "out" / "checkpoint.pt").exists()


def test_an_autoscaler_must_know_which_nodes_to_bring(dataset, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(dataset), str(tmp_path), "--autoscaling"])
    assert "--autoscaling needs --device" in capsys.readouterr().err


def test_another_training_in_the_output_is_refused(alone, dataset, recipe, capsys):
    assert main(["--recipe", str(recipe), "--rate", "1", str(dataset), str(alone)]) == 2
    assert "rate 0.003, now 1.0" in capsys.readouterr().err


def test_an_output_inside_the_dataset_is_refused(dataset, recipe, capsys):
    assert main(["--recipe", str(recipe), str(dataset), str(dataset / "out")]) == 2
    assert "choose another OUTPUT" in capsys.readouterr().err


def test_no_dataset_is_refused(recipe, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    assert main(["--recipe", str(recipe), str(tmp_path / "in"), str(tmp_path / "out")]) == 2
    assert "jobs.cluster" in capsys.readouterr().err


def start(*arguments, **env) -> subprocess.Popen:
    return start_job(*arguments, verb="train", env={"RAY_worker_niceness": "0", **env})


def wait_for(job: subprocess.Popen, text: str, seconds: float = 150) -> str:
    """What the job said up to the line that has ``text``."""
    said, end = "", time.monotonic() + seconds
    for line in job.stdout:
        said += line
        if text in line:
            return said
        assert time.monotonic() < end, said
    raise AssertionError(f"the job ended without {text!r}:\n{said}")


def training_workers(job: subprocess.Popen) -> list[int]:
    def title(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            return ""

    return sorted(pid for pid in descendants(job.pid) if "RayTrainWorker" in title(pid))


@pytest.mark.slow
def test_two_workers_one_of_them_killed(alone, dataset, recipe, tmp_path):
    job = start("--recipe", recipe, dataset, tmp_path, "--workers", "2", "--threads", "1")
    try:
        wait_for(job, "validation at step 10")
        workers = training_workers(job)
        assert len(workers) == 2
        os.kill(workers[1], signal.SIGKILL)
        said = wait_for(job, "done:")
    finally:
        kill_tree(job)
    assert "validation at step 30" in said
    output = Store(str(tmp_path))
    check_that_nothing_was_seen_twice(output)
    assert losses(output)[-1] == pytest.approx(losses(Store(str(alone)))[-1], rel=0.2)


@pytest.mark.slow
def test_a_photograph_that_cannot_be_read_ends_the_job_with_its_name(recipe, tmp_path):
    dataset = write_dataset(str(tmp_path / "set"), train=PHOTOGRAPHS, val=4, test=4, side=32, per_file=12)
    rows = read_block(dataset, DATASET, "00024.parquet").to_pylist()
    rows[5]["thumbnail"] = rows[5]["thumbnail"][:300]
    write_block(dataset, DATASET, "00024.parquet", pa.Table.from_pylist(rows, SCHEMA))
    job = start("--recipe", recipe, tmp_path / "set", tmp_path / "out", "--workers", "1", "--threads", "1")
    try:
        wait_for(job, f"the training failed: the thumbnail of photograph {rows[5]['sha256']} cannot be decoded")
        assert job.wait(60) == 1
    finally:
        kill_tree(job)


@pytest.mark.slow
def test_everything_killed_and_submitted_again_on_s3(moto_s3, recipe, monkeypatch):
    bucket = moto_s3.make_bucket("train")
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    output = Store(f"{bucket}/trained")
    write_dataset(f"{bucket}/set", train=PHOTOGRAPHS, val=4, test=4, side=32, per_file=12)
    arguments = ("--recipe", recipe, f"{bucket}/set", f"{bucket}/trained", "--workers", "2", "--threads", "1")
    job = start(*arguments)
    try:
        wait_for(job, "validation at step 15")  # said before its checkpoint is stored: that of 10 is there
    finally:
        kill_tree(job)
    stopped_at = read_checkpoint(output).position.step
    assert 10 <= stopped_at < 30
    job = start(*arguments)
    try:
        said = wait_for(job, "done:")
    finally:
        kill_tree(job)
    assert "validation at step 10:" not in said and "validation at step 30:" in said
    check_that_nothing_was_seen_twice(output)
    assert output.exists("small.safetensors") and output.exists("samples.jpg")
