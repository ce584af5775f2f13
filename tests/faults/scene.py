"""One run under way: its cluster, its storage, its drivers, and what has been done to them."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from command import ROOT, job
from faultproxy import FaultProxy, Rule
from servers import ACCESS_KEY, SECRET_KEY, S3Server

from faults.cluster import Cluster, Node

SECOND_KEY = "AKIASECONDSECONDSECO"
BUSY_SECONDS = 2.0
ADVICE = re.compile(r"(continue with|retry them|cannot start): \S", re.I)
LAST_LINES = 80  # Ray may have a long last word, about nodes that died
IMPOSSIBLE = 2  # the exit code of a job that says what it lacks


@dataclass
class Done:
    """A fault that was done. seconds: since the start. stored: derivatives stored by then."""

    kind: str
    what: str
    seconds: float
    stored: int


@dataclass
class Driver:
    """A colorize command. killed: it had no last words, as we killed it, or the head that it would live on."""

    process: subprocess.Popen
    log: Path
    killed: bool = False
    exit_code: int | None = None

    def kill(self) -> None:
        self.killed = True
        self.process.kill()

    @property
    def working(self) -> bool:
        """Whether it has a plan and workers for it."""
        return "CPU workers" in self.log.read_text(errors="replace")

    @property
    def speechless(self) -> bool:
        """Whether it failed without a word on how to go on."""
        last = "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:])
        return bool(self.exit_code) and not self.killed and not ADVICE.search(last)


class Traffic:
    """What passed the proxy: the derivatives stored so far, and who works."""

    def __init__(self, output: str):
        self.output = output
        self.stored: set[str] = set()
        self.requests: Counter[str] = Counter()
        self.latest: dict[str, float] = {}
        self.progress = time.monotonic()

    def __call__(self, method: str, path: str, head: str, status: int) -> None:
        path, name = path.partition("?")[0], re.search(r"\bapp/([\w-]+)", head)
        photo = "/scans/" in path or "/photos/" in path
        if status >= 300 or not (photo or "/records/" in path) or not name:
            return
        if photo:
            self.requests[name[1]] += 1
            self.latest[name[1]] = time.monotonic()
        if method == "PUT" and f"/{self.output}/" in path and path not in self.stored:
            self.progress = time.monotonic()
            if "/photos/" in path:
                self.stored.add(path)

    def busy(self, node: Node) -> bool:
        return time.monotonic() - self.latest.get(node.name, 0) < BUSY_SECONDS


@dataclass
class Scene:
    """folder: for logs. arguments: of the colorize command."""

    server: S3Server
    bucket: str
    output: str
    folder: Path
    arguments: Sequence[str]
    rng: random.Random
    nodes: int = 3
    cluster: Cluster = field(init=False)
    done: list[Done] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    drivers: list[Driver] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Scene:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.traffic = Traffic(self.output)
        self.proxy = FaultProxy(*self.server.address, seed=self.rng.randrange(1 << 32), watch=self.traffic)
        self.proxy.__enter__()
        self.access_key = ACCESS_KEY
        self.write_credentials()
        self.env = {
            "AWS_ENDPOINT_URL": self.proxy.endpoint,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials),
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONPATH": str(ROOT),
        }
        self._rules: list[Sequence[Rule]] = []
        self._timers: list[tuple[float, Callable[[], object]]] = []
        self.cluster = Cluster(self.nodes, self.env)
        try:
            self.cluster.__enter__()
        except BaseException:
            self.proxy.__exit__()
            raise
        self.began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        for driver in self.running:
            driver.kill()
            driver.process.wait()
        self.cluster.__exit__()
        self._count()
        self.proxy.__exit__()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def running(self) -> list[Driver]:
        return [driver for driver in self.drivers if driver.exit_code is None]

    def start_driver(self) -> Driver:
        """The operator's command, always the same one."""
        address = f"s3://{self.bucket}"
        command = job(f"{address}/scans", f"{address}/{self.output}", *self.arguments)
        env = self.cluster.env | {"RAY_ADDRESS": self.cluster.address, "AWS_SDK_UA_APP_ID": "driver"}
        log = self.folder / f"driver-{len(self.drivers) + 1}.log"
        with open(log, "wb") as said:
            process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
        self.drivers.append(Driver(process, log))
        self.traffic.progress = time.monotonic()
        return self.drivers[-1]

    def tick(self) -> list[Driver]:
        """Do what is due; gives the drivers that have ended since."""
        due = [action for when, action in self._timers if when <= time.monotonic()]
        self._timers = [timer for timer in self._timers if timer[0] > time.monotonic()]
        for action in due:
            action()
        ended = [driver for driver in self.running if driver.process.poll() is not None]
        for driver in ended:
            driver.exit_code = driver.process.returncode
        return ended

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        self._timers.append((time.monotonic() + seconds, action))

    def note(self, kind: str, what: str) -> None:
        self.done.append(Done(kind, what, round(self.seconds, 1), len(self.traffic.stored)))

    def disturb(self, rules: Sequence[Rule], seconds: float | None = None) -> None:
        """Let storage misbehave, for some time or until it is healed."""
        self._rules.append(rules)
        self._apply()
        if seconds is not None:
            self.later(seconds, lambda: self._calm(rules))

    def rotate_credentials(self) -> None:
        """The other access key is valid from now on, and no longer this one."""
        old, self.access_key = self.access_key, SECOND_KEY if self.access_key == ACCESS_KEY else ACCESS_KEY
        self.write_credentials()
        self._rules = [rules for rules in self._rules if rules[0].code != "InvalidAccessKeyId"]
        self.disturb([Rule("status", header=f"Credential={old}/", status=403, code="InvalidAccessKeyId")])

    def write_credentials(self) -> None:
        """The file that every node reads, replaced as a whole."""
        self.credentials = self.folder / "credentials"
        write_credentials(self.credentials, self.access_key)

    def heal(self) -> None:
        """What an operator mends before he runs the job again: storage, a cluster without a head or with few CPUs."""
        self._rules = [rules for rules in self._rules if rules[0].code == "InvalidAccessKeyId"]
        self._apply()
        if self.cluster.head.dead:
            self.cluster.stop()
            self.cluster.start()
        if self.drivers[-1].exit_code == IMPOSSIBLE:
            self.cluster.fill()

    def story(self) -> list[dict]:
        return [asdict(done) for done in self.done]

    def _calm(self, rules: Sequence[Rule]) -> None:
        self._rules = [others for others in self._rules if others is not rules]
        self._apply()

    def _apply(self) -> None:
        self._count()
        self.proxy.set_rules([rule for rules in self._rules for rule in rules])

    def _count(self) -> None:
        self.injected.update(self.proxy.counts)
        self.proxy.counts.clear()


def write_credentials(file: Path, access_key: str) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {SECRET_KEY}\n")
    os.replace(temporary, file)
