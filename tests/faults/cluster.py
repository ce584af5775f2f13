"""A Ray cluster of several nodes on this machine, which can be killed, frozen and replaced one by one."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
os.environ |= TOKEN  # Ray reads it once, when it is imported

import psutil  # noqa: E402
import ray  # noqa: E402
from ray._raylet import GcsClient  # noqa: E402
from servers import free_ports  # noqa: E402

ALIVE = 0
OBJECT_STORE = 90 << 20  # bytes, each node
START_SECONDS = 120
# A dead node is known to be dead within seconds rather than a minute, so that more can die in an hour.
PATIENCE = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
}


@dataclass
class Node:
    """A `ray start` and everything below it. name: also what its requests to storage are signed with."""

    name: str
    process: subprocess.Popen
    frozen: bool = False
    dead: bool = False
    _seen: set[psutil.Process] = field(default_factory=set)  # these know a number that was given to another process

    def __post_init__(self) -> None:
        self._root = psutil.Process(self.process.pid)

    def processes(self) -> list[psutil.Process]:
        """All that live, those included that have lost their parent."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen |= {self._root, *self._root.children(recursive=True)}
        self._seen = {p for p in self._seen if p.is_running()}
        return list(self._seen)

    def find(self, words: str) -> list[psutil.Process]:
        """Processes with these words in their command line."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if words in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def actors(self) -> list[psutil.Process]:
        return self.find("ray::MapWorker")

    def decoders(self) -> list[psutil.Process]:
        return self.find("colorize_core.sandbox")

    def freeze(self) -> None:
        self.frozen = True
        self._each(psutil.Process.suspend)

    def thaw(self) -> None:
        self.frozen = False
        self._each(psutil.Process.resume)

    def kill(self) -> int:
        """kill -9 at once, as far as that goes; gives how many processes."""
        self.dead = True
        self._each(psutil.Process.suspend)  # or some would start others meanwhile
        count = self._each(psutil.Process.kill)
        self.process.wait()
        return count

    def _each(self, action) -> int:
        processes = self.processes()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                action(process)
        return len(processes)


class Cluster:
    """A head without CPUs and nodes of one CPU each; `with Cluster(3, env) as cluster`.

    env: variables of every node. Ray asks for a token that only this process and its children know.
    """

    def __init__(self, nodes: int, env: dict[str, str]):
        self.size = nodes
        self.env = os.environ | env | PATIENCE | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
        self.env |= {"RAY_worker_niceness": "0"}
        self.home = Path(tempfile.mkdtemp(prefix="faults-"))  # a short path: sockets go there
        self.nodes: list[Node] = []
        self.started = 0

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def start(self) -> None:
        """Start a head and all nodes, at another address than before."""
        port, client_port = free_ports(2)
        self.address = f"127.0.0.1:{port}"
        self.head = self._start(
            "head", "--head", f"--port={port}", f"--ray-client-server-port={client_port}", "--num-cpus=0",
            "--include-dashboard=false",
        )  # fmt: skip
        self._wait(lambda: self.alive())
        self.fill()

    def fill(self) -> None:
        """Add the nodes that are missing, and wait until they are there."""
        for _ in range(self.size - len(self.workers())):
            self.add()
        self._wait(lambda: {node.name for node in self.workers()} <= self.alive())

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()
        self.nodes = []

    def add(self) -> Node:
        """Another node; it joins within seconds."""
        return self._start("node", f"--address={self.address}", "--num-cpus=1")

    def alive(self) -> set[str]:
        """Names of the nodes that the head holds for alive."""
        try:
            infos = GcsClient(address=self.address).get_all_node_info(timeout=5)
        except ray.exceptions.RaySystemError:
            return set()
        return {info.node_name for info in infos.values() if info.state == ALIVE}

    def workers(self) -> list[Node]:
        """The nodes that should be at work."""
        return [node for node in self.nodes if not (node is self.head or node.dead or node.frozen)]

    def _start(self, kind: str, *arguments: str) -> Node:
        self.started += 1
        name = f"{kind}-{self.started}"
        home = self.home / name
        home.mkdir()
        command = [
            str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats",
            "--node-ip-address=127.0.0.1", f"--node-name={name}", f"--temp-dir={home}",
            f"--object-store-memory={OBJECT_STORE}", *arguments,
        ]  # fmt: skip
        with open(home / "said.log", "wb") as said:
            process = subprocess.Popen(
                command, env=self.env | {"AWS_SDK_UA_APP_ID": name}, stdin=subprocess.DEVNULL, stdout=said,
                stderr=said, start_new_session=True,
            )  # fmt: skip
        node = Node(name, process)
        self.nodes.append(node)
        return node

    def _wait(self, ready) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                said = "\n".join(
                    (self.home / node.name / "said.log").read_text()[-500:] for node in self.nodes if not node.dead
                )
                raise RuntimeError(f"the cluster does not start:\n{said}")
            time.sleep(0.2)
