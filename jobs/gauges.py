"""How a run stands, as gauges for Prometheus to scrape from its driver."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from threading import Event

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.registry import Collector

from colorize_core.records import Status
from jobs.runlog import STATES, RunLog
from jobs.workers import Impossible, Workers

LAST_LOOK = 30.0  # seconds, in which Prometheus should come by once more
SENDING = 0.5  # seconds, for the answer to that


class Gauges(Collector):
    """The gauges of one run, and the little server that gives them away."""

    def __init__(self, log: RunLog, workers: Workers, address: tuple[str, int]):
        """Listen at host and port. Raises Impossible when that cannot be done."""
        self.log, self.workers, self.address = log, workers, address
        self._read_to_the_end = Event()
        registry = CollectorRegistry()
        registry.register(self)
        host, port = address
        try:
            self._server, _ = start_http_server(port, host, registry)
        except OSError as error:
            raise Impossible(
                f"cannot serve metrics on {host}:{port}: {error.strerror}; choose another --metrics"
            ) from None

    def collect(self) -> Iterator[Gauge]:
        log, run = self.log, self.log.task.run
        ended = log.state != "running"
        about = {"run": run, "source": log.task.source.root, "output": log.task.output.root,
                 "model": log.task.recipe.model, "recipe": log.task.recipe.digest}  # fmt: skip
        states = {state: float(state == log.state) for state in STATES}
        photos = {str(status): float(log.counts[status]) for status in Status}
        yield gauge("info", "What the run is about", about, 1)
        yield family("state", "1 for the state the run is in", run, "state", states)
        yield family("photos", "Photos settled so far", run, "status", photos)
        yield family("errors", "Photos rejected or failed so far", run, "error_class", dict(log.errors))
        numbers = {
            "planned_scans": ("Scans that the run set out to do", len(log.plan.todo)),
            "done_scans": ("Scans settled so far", log.scans),
            "already_done_scans": ("Scans that earlier runs had settled", log.plan.already_done),
            "allowed_failures": ("Photos that may fail before the run counts as failed", log.allowed),
            "scans_per_second": ("Scans per second since the start", log.rate),
            "eta_seconds": ("Seconds left at that rate", log.seconds_left),
            "started_timestamp_seconds": ("When the run started", log.started_at),
            "progress_timestamp_seconds": ("When a photo was last settled", log.progressed_at),
            "workers": ("CPU workers of the plan", self.workers.cpus),
        }
        if log.cost_per_thousand is not None:
            numbers["cost_per_thousand_scans"] = ("Cost of a thousand scans, in --price's currency",
                                                  log.cost_per_thousand)  # fmt: skip
        for name, (doc, number) in numbers.items():
            yield gauge(name, doc, {"run": run}, number)
        if ended:
            self._read_to_the_end.set()

    def close(self) -> None:
        """Stop once the run's last state was read, or nobody came to read it, or Ctrl-C."""
        with suppress(KeyboardInterrupt):
            if self._read_to_the_end.wait(LAST_LOOK):
                time.sleep(SENDING)
        self._server.shutdown()
        self._server.server_close()


def gauge(name: str, doc: str, labels: dict[str, str], number: float) -> Gauge:
    """A gauge of one number."""
    made = Gauge(f"autochrome_job_{name}", doc, labels=[*labels])
    made.add_metric([*labels.values()], number)
    return made


def family(name: str, doc: str, run: str, label: str, numbers: Mapping[str, float]) -> Gauge:
    """A gauge with a number for each value of a label."""
    made = Gauge(f"autochrome_job_{name}", doc, labels=["run", label])
    for value, number in numbers.items():
        made.add_metric([run, value], number)
    return made
