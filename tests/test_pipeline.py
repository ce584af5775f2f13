"""The pipeline on a Ray cluster of several nodes, and what passes between its stages."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from command import ROOT, digests, ledger, run_job, start_job
from tasks import make_task

from colorize_core.hints import Hints
from colorize_core.stages import InFlight, start
from colorize_core.storage import Entry
from jobs.pipeline import pack, unpack

CLUSTER = """
import sys, time
from ray.cluster_utils import Cluster
store = {"object_store_memory": 150 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **store})
nodes = [cluster.add_node(num_cpus=1, **store) for _ in range(int(sys.argv[1]))]
print(cluster.address, flush=True)
for line in sys.stdin:  # each line asks for a node to join, and most of them for another to be killed
    if line.strip() == "replace":
        cluster.remove_node(nodes.pop(0), allow_graceful=False)
    nodes.append(cluster.add_node(num_cpus=1, **store))
    print("joined", flush=True)
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def cluster():
    """A head without CPUs and two nodes."""
    with start_nodes(2) as process:
        yield process


@contextmanager
def start_nodes(count: int) -> Iterator[subprocess.Popen]:
    """A head without CPUs and nodes of one, as processes of another program, which takes ``replace`` and ``join``."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, str(count)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    process.address = process.stdout.readline().strip()
    yield process
    process.stdin.close()
    process.wait(60)


@pytest.mark.slow
def test_more_workers_than_the_cluster_has_are_refused(cluster, photographs, tmp_path):
    run = run_job(photographs, tmp_path / "out", "--workers", "3", env={"RAY_ADDRESS": cluster.address})
    assert run.returncode == 2 and "the cluster has 2" in run.stderr


@pytest.mark.slow
def test_nodes_that_an_autoscaler_brings_are_waited_for(photographs, photographs_run, tmp_path):
    wish = ["--autoscaling", "--workers", "12", "--stages", "split"]  # more than ever come, as when spot nodes are few
    with start_nodes(0) as cluster:
        there = {"RAY_ADDRESS": cluster.address}
        refused = run_job(photographs, tmp_path / "out", env=there)
        assert refused.returncode == 2 and "--autoscaling" in refused.stderr
        process = start_job(photographs, tmp_path / "out", *wish, env=there)
        assert "12 CPU workers" in "".join(process.stdout.readline() for _ in range(2))
        for _ in range(2):
            print("join", file=cluster.stdin, flush=True)
            assert cluster.stdout.readline().strip() == "joined"
        said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert digests(tmp_path / "out") == digests(photographs_run)


@pytest.mark.slow
def test_a_node_that_dies_at_work_loses_nothing(cluster, photographs, photographs_run, tmp_path):
    process = start_job(photographs, tmp_path / "out", env={"RAY_ADDRESS": cluster.address})
    while not list((tmp_path / "out").glob("photos/*.jpg")) and process.poll() is None:
        time.sleep(0.05)
    print("replace", file=cluster.stdin, flush=True)
    assert cluster.stdout.readline().strip() == "joined"
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert digests(tmp_path / "out") == digests(photographs_run)
    assert Counter(ledger(tmp_path / "out")["status"].to_pylist()) == {"colorized": 30}


HANG = """
import os, sys, time
if any("default_worker" in a for a in sys.orig_argv):
    from colorize_core import stages
    stages.Finish.__call__ = lambda self, photo: time.sleep(600)
"""


@pytest.mark.slow
def test_a_pipeline_without_progress_fails_loudly(photographs, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(HANG)
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    run = run_job(photographs, tmp_path / "out", "--stall-timeout", "12", "--workers", "1", env={"PYTHONPATH": path})
    assert run.returncode == 1, run.stdout + run.stderr
    assert "the job failed after 0 scans" in run.stderr and "continue with: python -m jobs.colorize" in run.stderr


def test_photos_in_flight_survive_the_journey(tmp_path):
    record = start(make_task(tmp_path, tmp_path / "out"), Entry("a.jpg", 5, "e"), 2, 1)
    rng, hints = np.random.default_rng(0), Hints.parse(b'{"palette": ["#8a6d3b"]}')
    photos = [
        InFlight(record, lightness=(rng.random((32, 64), np.float32), rng.random((96, 96), np.float32))),
        InFlight(record, hints, lightness=(rng.random((32, 64), np.float32),)),
        InFlight(record, hints, ab=rng.random((64, 32, 2), np.float32), uncertainty=rng.random((64, 32), np.float32)),
        InFlight(record, ab=rng.random((64, 32, 2), np.float32)),
        InFlight(record),
    ]
    for before, after in zip(photos, unpack(pack(photos)), strict=True):
        assert (after.record, after.hints) == (before.record, before.hints)
        for name in ("ab", "uncertainty"):
            ours, theirs = getattr(before, name), getattr(after, name)
            assert (ours is None and theirs is None) or np.array_equal(ours, theirs)
        assert (before.lightness is None) == (after.lightness is None)
        for ours, theirs in zip(before.lightness or (), after.lightness or (), strict=True):
            assert np.array_equal(ours, theirs)
