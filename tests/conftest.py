"""Fixtures shared by all tests. The environment is settled before anything that reads it is imported."""

from __future__ import annotations

import os

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import servers  # noqa: E402


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
