"""Fixtures shared by all tests. The environment is settled before anything that reads it is imported."""

from __future__ import annotations

import os
import subprocess

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")

from collections import Counter  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import command  # noqa: E402
import pytest  # noqa: E402
import ray_nodes  # noqa: E402
import servers  # noqa: E402
import tasks  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, those with most of them at the head, so that nothing long is left last."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of photographs that are not kept with the code."""
    if folder := os.environ.get("AUTOCHROME_DATA"):
        return Path(folder)
    pytest.skip("set AUTOCHROME_DATA to the folder that holds archive/, hostile/ and photos/")


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[servers.S3Server]:
    with servers.moto_s3() as server:
        yield server


@pytest.fixture(scope="session")
def radosgw() -> Iterator[servers.S3Server]:
    with servers.radosgw() as server:
        yield server


@pytest.fixture(scope="session")
def nodes() -> Iterator[ray_nodes.RayNodes]:
    """A Ray cluster as an operator starts it."""
    with ray_nodes.ray_nodes() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    """Seven scans of many kinds; see ``tasks.write_archive``."""
    folder = tmp_path_factory.mktemp("archive") / "in"
    tasks.write_archive(folder)
    return folder


@pytest.fixture(scope="session")
def archive_run(archive, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """The output folder of a job over the archive, and what the job said."""
    output = tmp_path_factory.mktemp("archive-run") / "out"
    return output, command.run_job(archive, output, "--max-failed", "2")


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Path:
    """Thirty good scans."""
    folder = tmp_path_factory.mktemp("photographs") / "in"
    command.write_photographs(folder, 30)
    return folder


@pytest.fixture(scope="session")
def photographs_run(photographs, tmp_path_factory) -> Path:
    """The output folder of an unbroken job over the photographs."""
    output = tmp_path_factory.mktemp("photographs-run") / "out"
    run = command.run_job(photographs, output)
    assert run.returncode == 0, run.stdout + run.stderr
    return output
