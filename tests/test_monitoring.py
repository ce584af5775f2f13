"""A real Prometheus watches a real job on a cluster: the dashboard has data, and an alert fires."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from command import ROOT, job
from PIL import Image
from servers import free_ports
from skimage import data as pictures

MONITORING = ROOT / "deploy" / "monitoring"
GOOD, BAD = 90, 6
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("prometheus"), reason="no prometheus here (package prometheus)"),
]


@dataclass
class Watched:
    """A job that Prometheus watched from ``began`` to ``ended``, in seconds since the epoch; the job's own words."""

    prometheus: str
    began: float
    ended: float
    output: Path
    said: str
    code: int

    def values(self, query: str) -> list[float]:
        """Every number that a query gives in that time, not-a-numbers aside."""
        span = {"query": query, "start": self.began, "end": self.ended, "step": 1}
        found = ask(f"{self.prometheus}/api/v1/query_range?{urllib.parse.urlencode(span)}")
        assert found["status"] == "success", found
        numbers = [float(value) for series in found["data"]["result"] for _, value in series["values"]]
        return [number for number in numbers if not math.isnan(number)]


def ask(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def scans(folder: Path) -> None:
    folder.mkdir()
    camera = Image.fromarray(pictures.camera())
    for i in range(GOOD):
        camera.crop((i, i, i + 300, i + 260)).save(folder / f"{i:03}.jpg", quality=90)
    for i in range(BAD):
        (folder / f"letter-{i}.jpg").write_text("Dear archivist, this is no picture.")


@pytest.fixture(scope="module")
def watched(nodes, tmp_path_factory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    scans(folder / "in")
    web, gauges = free_ports(2)
    targets = [f"127.0.0.1:{port}" for port in (*nodes.metrics, gauges)]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(MONITORING / "rules.yaml")],
        "scrape_configs": [{"job_name": "autochrome", "static_configs": [{"targets": targets}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/tsdb",
               f"--web.listen-address=127.0.0.1:{web}"]  # fmt: skip
    with open(folder / "prometheus.log", "w") as log:
        prometheus = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until_ready(f"http://127.0.0.1:{web}/-/ready")
        began = time.time()
        options = ["--metrics", str(gauges), "--price", "3", "--max-failed", "5"]
        done = subprocess.run(
            job(folder / "in", folder / "out", *options),
            cwd=ROOT, env=os.environ | nodes.env | {"RAY_ADDRESS": nodes.address},
            capture_output=True, text=True, timeout=250,
        )  # fmt: skip
        time.sleep(3)  # for the rules that look at the last scrape
        said = done.stdout + done.stderr
        yield Watched(f"http://127.0.0.1:{web}", began, time.time(), folder / "out", said, done.returncode)
    finally:
        prometheus.terminate()
        prometheus.wait(20)


def wait_until_ready(url: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"nothing at {url}")


def panels() -> dict[str, list[str]]:
    """The queries of the dashboard by title of their panel, with every variable on All; those about GPUs aside."""
    board = json.loads((MONITORING / "dashboard.json").read_text())
    found: dict[str, list[str]] = {}
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            if "ray_node_g" not in target["expr"]:
                found.setdefault(panel["title"], []).append(re.sub(r"\$\w+", ".*", target["expr"]))
    return found


@pytest.mark.parametrize("panel", panels())
def test_every_panel_has_data(watched, panel):
    for query in panels()[panel]:
        assert watched.values(query), f"{query}\n{watched.said}"


def test_what_prometheus_saw_is_what_is_on_file(watched):
    assert watched.code == 3, watched.said
    (run,) = (watched.output / "runs").glob("*.json")
    summary = json.loads(run.read_text())
    assert watched.values("autochrome_job_done_scans")[-1] == summary["done"] == GOOD + BAD
    assert watched.values('autochrome_job_photos{status="colorized"}')[-1] == summary["counts"]["colorized"] == GOOD
    assert watched.values('autochrome_job_errors{error_class="not_an_image"}')[-1] == summary["errors"]["not_an_image"]
    assert watched.values('autochrome_job_state{state="too_many_failures"}')[-1] == 1
    assert summary["cost_per_thousand_scans"] == pytest.approx(
        watched.values("autochrome_job_cost_per_thousand_scans")[-1], rel=0.2
    )


def test_workers_count_photos_by_what_became_of_them(watched):
    assert 0 < max(watched.values('sum(ray_autochrome_photos_total{status="colorized"})')) <= GOOD
    assert max(watched.values('sum(ray_autochrome_photos_total{error_class="not_an_image"})')) <= BAD
    stages = ask(f"{watched.prometheus}/api/v1/label/stage/values")["data"]
    assert set(stages) == {"fetch", "prepare", "predict", "finish", "put"}


def test_an_alert_fires(watched):
    assert watched.values('ALERTS{alertname="AutochromeTooManyFailures",alertstate="firing"}')
    assert not watched.values('ALERTS{alertname="AutochromeJobFailed",alertstate="firing"}')
