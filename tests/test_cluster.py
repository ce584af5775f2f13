from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from color_photos import write_color_photos, write_unfit
from command import ROOT, descendants

from colorize_core.curation.dataset import DIGEST, DROPPED_SCHEMA, SCHEMA, split_of
from colorize_core.curation.selection import Selection
from colorize_core.storage import Store
from jobs.cluster import TooFew, find_clusters, main, parse

pytestmark = pytest.mark.slow


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "jobs.cluster", *map(str, arguments)]


def cluster(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | (env or {})
    return subprocess.run(command(*arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)


def read(output: Path | str, folder: str):
    """A folder of the output as one table, and what the files say of the clustering they were sorted by."""
    store = Store(str(output))
    tables = [pq.read_table(pa.BufferReader(store.read(e.key))) for e in store.list(f"{folder}/")]
    return pa.concat_tables(tables), {(t.schema.metadata or {}).get(DIGEST) for t in tables}


def places(output: Path | str) -> dict[str, tuple[int, str]]:
    table, _ = read(output, "dataset")
    return {r["sha256"]: (r["cluster"], r["split"]) for r in table.select(["sha256", "cluster", "split"]).to_pylist()}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Sixty fit photographs, one of every unfit kind, one twin; and the reasons by key."""
    folder = tmp_path_factory.mktemp("photographs") / "in"
    keys = write_color_photos(folder, 60)
    reasons = write_unfit(folder)
    from PIL import Image

    twin = Image.open(folder / keys[0]).resize((150, 150))
    twin.save(folder / "unfit/twin.webp", quality=80)
    return folder, reasons | {"unfit/twin.webp": "near_duplicate"}


@pytest.fixture(scope="module")
def clustered(photographs, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    output = tmp_path_factory.mktemp("clustered") / "out"
    return output, cluster(photographs[0], output, "--clusters", "3")


def test_every_photograph_is_kept_or_dropped_for_its_reason(photographs, clustered):
    output, run = clustered
    assert run.returncode == 0, run.stdout + run.stderr
    dataset, digests = read(output, "dataset")
    dropped, _ = read(output, "dropped")
    assert dataset.schema.equals(SCHEMA) and dropped.schema.equals(DROPPED_SCHEMA)
    assert dict(zip(dropped["key"].to_pylist(), dropped["reason"].to_pylist(), strict=True)) == photographs[1]
    assert len(dataset) == 60 and len(set(dataset["path"].to_pylist())) == 60
    assert Counter(dataset["category"].to_pylist()) == Counter(people=15, table=15, animals=15, sky=15)
    assert set(dataset["cluster"].to_pylist()) == {0, 1, 2}
    assert all(split_of(r["sha256"]) == r["split"] for r in dataset.to_pylist())
    summary = json.loads((output / "clusters.json").read_text())
    assert digests == {summary["digest"].encode()}
    assert summary["sizes"] == np.bincount(dataset["cluster"].to_numpy()).tolist()
    assert summary["looked_at"] == 68 and sum(summary["dropped"].values()) == 8
    assert (output / "report/index.html").exists()


def test_a_twin_names_the_photograph_kept(clustered):
    output, _ = clustered
    dropped, _ = read(output, "dropped")
    twin = next(row for row in dropped.to_pylist() if row["reason"] == "near_duplicate")
    dataset, _ = read(output, "dataset")
    assert twin["twin_of"] in dataset["sha256"].to_pylist() and twin["thumbnail"]


def test_thumbnails_are_small_pictures_of_the_originals(photographs, clustered):
    import io

    from PIL import Image

    dataset, _ = read(clustered[0], "dataset")
    for row in dataset.slice(0, 5).to_pylist():
        thumbnail = Image.open(io.BytesIO(row["thumbnail"]))
        original = Image.open(photographs[0] / row["path"])
        assert thumbnail.format == "JPEG" and thumbnail.size == original.size == (200, 200)
        assert np.abs(np.asarray(thumbnail).astype(int) - np.asarray(original)).mean() < 4


def test_photographs_stay_where_they_are_when_others_come_and_go(photographs, clustered, tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    shutil.copytree(photographs[0], folder)
    shutil.copytree(clustered[0], output)
    before = places(output)
    gone = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "sky").iterdir()}
    shutil.rmtree(folder / "sky")
    write_color_photos(folder / "more", 6, seed=9)
    run = cluster(folder, output, "--clusters", "3")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "59 photographs found, 53 examined before" in run.stdout and "6/6 examined" in run.stdout
    after = places(output)
    assert len(after) == 51 and before.keys() - after.keys() == gone
    assert {key: after[key] for key in before.keys() - gone} == {key: before[key] for key in before.keys() - gone}


def test_other_clusters_than_those_there_need_refit(photographs, clustered, capsys):
    for more in (["--clusters", "4"], ["--clusters", "3", "--feature", "pixels"]):
        assert main([str(photographs[0]), str(clustered[0]), *more]) == 2
        assert "--refit" in capsys.readouterr().err


def test_refit_finds_other_clusters_examines_nothing_and_keeps_the_splits(photographs, clustered, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(clustered[0], output)
    run = cluster(photographs[0], output, "--clusters", "4", "--refit", "--feature", "pixels")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "68 examined before" in run.stdout and " examined (" not in run.stdout
    before, after = places(clustered[0]), places(output)
    assert {k: split for k, (_, split) in after.items()} == {k: split for k, (_, split) in before.items()}
    assert {label for label, _ in after.values()} == {0, 1, 2, 3}
    summary = json.loads((output / "clusters.json").read_text())
    assert summary["feature"] == "pixels" and summary["k"] == 4
    assert [k for k, _ in summary["silhouette"]] == list(range(2, 11))


def test_killed_in_the_middle_it_goes_on(photographs, clustered, tmp_path):
    output = tmp_path / "out"
    process = subprocess.Popen(
        command(photographs[0], output, "--clusters", "3"), cwd=ROOT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(output.glob("examined/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, "it was over before it could be killed"
    for pid in descendants(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    there = {path.name: path.read_bytes() for path in output.glob("examined/*.parquet")}
    run = cluster(photographs[0], output, "--clusters", "3")
    assert run.returncode == 0, run.stdout + run.stderr
    assert 0 < int(run.stdout.partition("found, ")[2].split()[0]) < 68
    assert there == {name: (output / "examined" / name).read_bytes() for name in there}
    assert places(output) == places(clustered[0])


def test_other_names_in_another_order_in_a_bucket_give_the_same_dataset(photographs, clustered, moto_s3, monkeypatch):
    bucket, client = moto_s3.make_bucket("cluster-in"), moto_s3.client()
    originals = sorted((path for path in photographs[0].rglob("*") if path.is_file()), reverse=True)
    for number, path in enumerate(originals):
        client.put_object(Bucket="cluster-in", Key=f"{number:03}", Body=path.read_bytes())
    target = moto_s3.make_bucket("cluster-out") + "/set"
    run = cluster(bucket, target, "--clusters", "3", env=moto_s3.env)
    assert run.returncode == 0, run.stdout + run.stderr
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    assert places(target) == places(clustered[0])


def test_the_impossible_is_said_before_any_work(tmp_path, photographs, capsys):
    (tmp_path / "empty").mkdir()
    ends = {
        "no photographs in": (tmp_path / "empty", tmp_path / "out"),
        "inside one another": (photographs[0], photographs[0] / "out"),
        "missing": (tmp_path / "missing", tmp_path / "out"),
    }
    for said, roots in ends.items():
        assert main([str(root) for root in roots]) == 2
        assert said in capsys.readouterr().err
    assert not (photographs[0] / "out").exists()


def test_fewer_photographs_than_clusters_is_said_with_the_reasons(tmp_path):
    table = pa.table({"reason": ["tiny", None], "sha256": ["a" * 64, "f" * 64], "file": ["x", "x"], "row": [0, 1]})
    selection = Selection(table, np.array([-1, -1]), np.array([False, True]))
    with pytest.raises(TooFew, match="1 photographs are left to find 5 clusters in .*tiny 1"):
        find_clusters(parse([str(tmp_path), "out"]), Store(str(tmp_path)), selection, 1)
