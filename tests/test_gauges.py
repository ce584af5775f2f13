"""The gauges of a run, as Prometheus reads them from its driver."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
import urllib.request
from argparse import ArgumentTypeError

import pytest
from prometheus_client.parser import text_string_to_metric_families
from servers import free_ports
from tasks import make_task

from colorize_core.plan import Plan
from colorize_core.records import SCHEMA, Status
from colorize_core.storage import Entry
from jobs import gauges
from jobs.arguments import address
from jobs.gauges import Gauges
from jobs.runlog import RunLog
from jobs.workers import Impossible, Workers


def row(key: str, status: Status, error: str | None = None) -> dict:
    facts = {
        "key": key,
        "page": 0,
        "source_etag": "e",
        "source_size": 1000,
        "status": str(status),
        "error_class": error,
    }
    return dict.fromkeys(SCHEMA.names) | facts | {"ms_fetch": 500.0}


@pytest.fixture
def log(archive, tmp_path) -> RunLog:
    plan = Plan(12, 2, [(Entry(f"{i}.jpg", 1000, "e"), 1) for i in range(10)])
    return RunLog(make_task(archive, tmp_path), plan, [], "20%", price=7.2)


@pytest.fixture
def served(log, monkeypatch):
    made = Gauges(log, Workers(3, 0, "cpu", False), ("127.0.0.1", *free_ports(1)))
    yield made
    monkeypatch.setattr(gauges, "LAST_LOOK", 0)
    made.close()


def read(made: Gauges) -> dict[str, float]:
    host, port = made.address
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    found = {}
    for sample in (sample for family in families for sample in family.samples):
        labels = [value for name, value in sorted(sample.labels.items()) if name in ("status", "state", "error_class")]
        found[" ".join([sample.name.removeprefix("autochrome_job_"), *labels])] = sample.value
    return found


def test_before_the_first_block(served):
    seen = read(served)
    assert (seen["planned_scans"], seen["already_done_scans"], seen["done_scans"]) == (10, 2, 0)
    assert math.isnan(seen["eta_seconds"]) and "cost_per_thousand_scans" not in seen
    assert seen["workers"] == 3 and seen["allowed_failures"] == 2 and seen["info"] == 1
    assert seen["state running"] == 1 and seen["state finished"] == 0


def test_figures_follow_the_run(served, log):
    log.began -= 100  # seconds ago
    log.add([row(f"{i}.jpg", Status.COLORIZED) for i in range(3)])
    log.add([row("3.jpg", Status.REJECTED, "truncated"), row("4.jpg", Status.FAILED, "AccessDenied")])
    log.add([row("4.jpg", Status.FAILED, "AccessDenied")])  # a block that ran twice
    seen = read(served)
    assert (seen["photos colorized"], seen["photos rejected"], seen["photos failed"]) == (3, 1, 1)
    assert seen["errors truncated"] == seen["errors AccessDenied"] == 1
    assert seen["done_scans"] == 5 and seen["scans_per_second"] == pytest.approx(0.05, rel=0.1)
    assert seen["eta_seconds"] == pytest.approx(100, rel=0.1)
    assert seen["cost_per_thousand_scans"] == pytest.approx(7.2 * 100 / 3600 / 5 * 1000, rel=0.1)
    assert time.time() - 10 < seen["progress_timestamp_seconds"] <= time.time()


def test_the_final_figures_are_on_file(log):
    log.began -= 100
    log.add([row(f"{i}.jpg", Status.COLORIZED) for i in range(10)])
    assert log.close() == 0
    run = json.loads(log.task.output.read(f"runs/{log.task.run}.json"))
    assert run["stage_seconds"]["fetch"] == 5 and run["price_per_hour"] == 7.2
    assert run["cost_per_thousand_scans"] == pytest.approx(7.2 * 100 / 3600 / 10 * 1000, rel=0.1)
    assert run["counts"]["colorized"] == 10 and run["state"] == "finished"


def test_the_last_state_waits_to_be_read(served, log):
    log.state = "failed"
    closing = threading.Thread(target=served.close)
    closing.start()
    time.sleep(0.3)
    assert closing.is_alive()
    assert read(served)["state failed"] == 1
    closing.join(10)
    assert not closing.is_alive()


def test_nobody_is_waited_for_long(log, monkeypatch):
    monkeypatch.setattr(gauges, "LAST_LOOK", 0.2)
    began = time.monotonic()
    Gauges(log, Workers(1, 0, "cpu", False), ("127.0.0.1", *free_ports(1))).close()
    assert time.monotonic() - began < 5


def test_a_port_that_is_taken_is_refused(log):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Impossible, match="choose another --metrics"):
        Gauges(log, Workers(1, 0, "cpu", False), taken.getsockname())


def test_loopback_unless_asked():
    assert address("9108") == ("127.0.0.1", 9108)
    assert address("0.0.0.0:9108") == ("0.0.0.0", 9108)
    for wrong in ("", "host", "host:", "1:99999"):
        with pytest.raises(ArgumentTypeError):
            address(wrong)
