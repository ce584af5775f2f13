"""``ray job submit`` to a cluster that an operator started: a head without CPUs, token authentication, one node."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command import ROOT, digests, ledger
from ray_nodes import RayNodes

RAY = Path(sys.executable).parent / "ray"
DETAILS = """
import sys
from ray.job_submission import JobSubmissionClient
job = JobSubmissionClient(sys.argv[1]).get_job_info(sys.argv[2])
print(job.status.value, job.driver_exit_code)
"""
PACK = """
import sys
from pathlib import Path
from ray._private.runtime_env.packaging import create_package
create_package(".", Path(sys.argv[1]), include_gitignore=True, excludes=[".git", ".venv", "__pycache__"])
"""
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not RAY.exists(), reason="no ray command beside this Python")]


def submit(nodes: RayNodes, *entrypoint: str | Path, options: tuple[str, ...] = (), token: str | None = None):
    """Submit from a copy of what the operator has: the checkout."""
    command = [RAY, "job", "submit", "--address", nodes.dashboard, "--working-dir", ".", *options, "--"]
    env = os.environ | nodes.env | ({"RAY_AUTH_TOKEN": token} if token else {})
    return subprocess.run(
        [*command, sys.executable, "-m", *entrypoint], cwd=ROOT, env=env, capture_output=True, text=True, timeout=200
    )


def details(nodes: RayNodes, submission: str):
    """What the cluster says of a job, asked in a process of its own, which alone has the token."""
    done = subprocess.run(
        [sys.executable, "-c", DETAILS, nodes.dashboard, submission],
        env=os.environ | nodes.env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout.split()


def test_round_trip(nodes, photographs, photographs_run, tmp_path):
    done = submit(nodes, "jobs.colorize", photographs, tmp_path / "out", options=("--submission-id", "box-7"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 CPU workers" in done.stdout and "done: 30 colorized" in done.stdout and "succeeded" in done.stdout
    assert details(nodes, "box-7") == ["SUCCEEDED", "0"]
    assert digests(tmp_path / "out") == digests(photographs_run)
    twice = submit(nodes, "jobs.colorize", photographs, tmp_path / "out", options=("--submission-id", "box-7"))
    assert twice.returncode != 0 and "already exists" in twice.stdout + twice.stderr
    again = submit(nodes, "jobs.colorize", photographs, tmp_path / "out")
    assert again.returncode == 0 and "nothing to do: all 30 scans are done" in again.stdout
    assert len(ledger(tmp_path / "out")) == 30


@pytest.mark.parametrize(
    "arguments, code, sentence",
    [
        (["missing", "out"], "2", "cannot start:"),
        (["scans", "out", "--max-failed", "0"], "3", "exit code 3: 1 failures are more than --max-failed 0 allows"),
    ],
)
def test_the_exit_code_is_in_the_job_s_details(nodes, tmp_path, arguments, code, sentence):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "letter.jpg").write_text("Dear archivist, this is no picture.")
    places = [str(tmp_path / word) if not word.startswith("-") and word != "0" else word for word in arguments]
    done = submit(nodes, "jobs.colorize", *places, options=("--submission-id", f"code-{code}"))
    assert done.returncode == 1 and sentence in done.stdout, done.stdout + done.stderr
    assert details(nodes, f"code-{code}") == ["FAILED", code]


def test_a_wrong_token_is_refused(nodes, tmp_path):
    done = submit(nodes, "jobs.colorize", tmp_path, tmp_path / "out", token=secrets.token_hex(32))
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "403" in said or "401" in said or "nvalid" in said, said
    assert not (tmp_path / "out").exists()


def test_the_package_is_small_and_whole(tmp_path):
    package = tmp_path / "package.zip"
    subprocess.run([sys.executable, "-c", PACK, package], cwd=ROOT, check=True, capture_output=True)
    packed = {name for name in zipfile.ZipFile(package).namelist() if not name.endswith("/")}
    assert package.stat().st_size < 30e6
    tracked = subprocess.run(["git", "ls-files", "colorize_core", "jobs"], cwd=ROOT, capture_output=True, text=True)
    needed = [name for name in tracked.stdout.split() if "fusion.safetensors" not in name]
    assert len(needed) > 100 and set(needed) <= packed
    assert not any(name.startswith(("tests/", "k8s/", "docs/", ".git/")) for name in packed)
