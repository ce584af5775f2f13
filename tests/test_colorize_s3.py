"""The colorize job against object stores: moto, a real Ceph gateway, and either behind a proxy that misbehaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import digests, ledger, run_job, start_job
from faultproxy import FaultProxy, Rule

FAULTS = [
    Rule("status", probability=0.01),
    Rule("status", probability=0.01, status=429, code="TooManyRequests", retry_after=1),
    Rule("reset", probability=0.01),
    Rule("truncate", method="GET", path="scan", probability=0.02, at=2000),
    Rule("truncate", method="PUT", path="photos", probability=0.02, at=2000, abort=True),
    Rule("corrupt", method="GET", path="scan", probability=0.02, at=3000),
    Rule("corrupt", method="PUT", path="photos", probability=0.02, at=3000),
    Rule("commit_then_reset", method="PUT", probability=0.01),
    Rule("hang", probability=0.003),
]


def upload(server, bucket: str, folder: Path) -> None:
    client = server.client()
    for path in folder.rglob("*"):
        if path.is_file():
            client.put_object(Bucket=bucket, Key=f"scans/{path.relative_to(folder)}", Body=path.read_bytes())


def stored(server, bucket: str, prefix: str) -> dict[str, bytes]:
    client = server.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def check_bucket(server, name: str, archive: Path, results: Path, monkeypatch) -> None:
    """A bucket and a folder of the same scans give the same results; a second run does nothing."""
    for variable, value in server.env.items():
        monkeypatch.setenv(variable, value)
    bucket = server.make_bucket(name)
    upload(server, name, archive)
    before = stored(server, name, "scans/")
    run = run_job(f"{bucket}/scans", f"{bucket}/color", "--max-failed", "2")
    assert run.returncode == 0, run.stdout + run.stderr
    assert digests(f"{bucket}/color") == digests(results)
    for key, image in stored(server, name, "color/photos/").items():
        assert (results / key.removeprefix("color/")).read_bytes() == image
    assert stored(server, name, "scans/") == before
    again = run_job(f"{bucket}/scans", f"{bucket}/color")
    assert again.returncode == 0 and "nothing to do" in again.stdout
    assert server.env["AWS_SECRET_ACCESS_KEY"] not in run.stdout + run.stderr


@pytest.mark.slow
def test_a_bucket(moto_s3, archive, archive_run, monkeypatch):
    check_bucket(moto_s3, "archive", archive, archive_run[0], monkeypatch)


@pytest.mark.slow
@pytest.mark.real_s3
def test_a_real_bucket(radosgw, archive, archive_run, monkeypatch):
    check_bucket(radosgw, "archive", archive, archive_run[0], monkeypatch)


@pytest.mark.real_s3
def test_a_wrong_secret_and_a_missing_bucket_are_said_before_work(radosgw, tmp_path, monkeypatch):
    for variable, value in radosgw.env.items():
        monkeypatch.setenv(variable, value)
    run = run_job("s3://no-such-bucket/scans", tmp_path / "out")
    assert run.returncode == 2 and "no-such-bucket" in run.stderr, run.stderr
    run = run_job("s3://archive/scans", tmp_path / "out", env={"AWS_SECRET_ACCESS_KEY": "quite-wrong-and-secret"})
    assert run.returncode == 2 and run.stderr.startswith("cannot start: "), run.stderr
    assert "quite-wrong-and-secret" not in run.stdout + run.stderr


@pytest.mark.slow
@pytest.mark.real_s3
def test_nothing_is_lost_or_wrong_when_storage_misbehaves(radosgw, photographs, photographs_run, monkeypatch):
    for variable, value in radosgw.env.items():
        monkeypatch.setenv(variable, value)
    bucket = radosgw.make_bucket("faults")
    upload(radosgw, "faults", photographs)
    with FaultProxy(*radosgw.address, FAULTS, seed=7) as proxy:
        run = run_job(
            f"{bucket}/scans", f"{bucket}/color", "--storage-timeout", "3", env={"AWS_ENDPOINT_URL": proxy.endpoint}
        )
        assert run.returncode == 0, run.stdout + run.stderr
        injected = dict(proxy.counts)
    assert injected.pop("requests") > 90
    assert sum(injected.values()) >= 4 and len(injected) >= 3, injected
    rows = ledger(f"{bucket}/color").to_pylist()
    assert len(rows) == 30 and {row["status"] for row in rows} == {"colorized"}
    assert digests(f"{bucket}/color") == digests(photographs_run)
    for key, image in stored(radosgw, "faults", "color/photos/").items():
        assert (photographs_run / key.removeprefix("color/")).read_bytes() == image


@pytest.mark.slow
def test_an_output_that_refuses_everything_ends_the_job_with_a_sentence(moto_s3, photographs, monkeypatch):
    for variable, value in moto_s3.env.items():
        monkeypatch.setenv(variable, value)
    bucket = moto_s3.make_bucket("refused")
    upload(moto_s3, "refused", photographs)
    with FaultProxy(*moto_s3.address) as proxy:
        job = start_job(f"{bucket}/scans", f"{bucket}/color", env={"AWS_ENDPOINT_URL": proxy.endpoint})
        said = "".join(job.stdout.readline() for _ in range(3))
        proxy.set_rules([Rule("status", method="PUT", path="/color/", status=403, code="AccessDenied")])
        said += job.communicate(timeout=120)[0]
    assert job.returncode == 1, said
    assert "Traceback" not in said and "summary was not stored" in said
    failed, advice = said.splitlines()[-2:]
    assert failed.startswith("the job failed after 0 scans: ") and "s3://refused/color" in failed
    assert advice.startswith("what is done stays done; continue with: python -m jobs.colorize s3://refused/scans")
