"""A Ray cluster as an operator starts it: a head without CPUs and a node, with token authentication."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from servers import free_ports

STORE = 100 << 20  # bytes of object store on each node


@dataclass(frozen=True)
class RayNodes:
    """address: of the head, for RAY_ADDRESS. dashboard: URL for ``ray job submit``. metrics: ports to scrape.

    env: what a client needs, the token among it.
    """

    address: str
    dashboard: str
    metrics: tuple[int, ...]
    env: dict[str, str]


@contextmanager
def ray_nodes(cpus: int = 2) -> Iterator[RayNodes]:
    """A head and one node with so many CPUs, up and joined."""
    with ExitStack() as stack:
        gcs, dashboard, autoscaler, inside, *ports = free_ports(8)
        env = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "RAY_metrics_report_interval_ms": "1000",
            "AUTOSCALER_METRIC_PORT": str(autoscaler),
            "DASHBOARD_METRIC_PORT": str(inside),
        }
        address = f"127.0.0.1:{gcs}"
        head = [
            "--head",
            "--num-cpus=0",
            f"--port={gcs}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={dashboard}",
        ]
        node = [f"--address={address}", f"--num-cpus={cpus}"]
        for role, metrics, agent in ((head, ports[0], ports[1]), (node, ports[2], ports[3])):
            # each in a folder of its own: two nodes of one machine would unpack a working directory over one another
            folder = tempfile.mkdtemp(prefix="r-")  # short: sockets lie below
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            shared = ["--block", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}",
                      f"--object-store-memory={STORE}", f"--metrics-export-port={metrics}",
                      f"--dashboard-agent-listen-port={agent}"]  # fmt: skip
            command = [str(Path(sys.executable).parent / "ray"), "start", *role, *shared]
            log = stack.enter_context(open(Path(folder, "start.log"), "w+"))
            process = subprocess.Popen(command, env=os.environ | env, stdout=log, stderr=log, start_new_session=True)
            stack.callback(kill, process)
            wait_for("Ray runtime started", Path(log.name), process)
        yield RayNodes(address, f"http://127.0.0.1:{dashboard}", (ports[0], ports[2], autoscaler, inside), env)


def wait_for(words: str, log: Path, process: subprocess.Popen, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while words not in (said := log.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no node: {said}")
        time.sleep(0.2)


def kill(process: subprocess.Popen) -> None:
    """The node and everything it started."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait(20)
