"""A run as it goes: the line on the terminal and ``runs/<run>.json`` in the output folder."""

from __future__ import annotations

import itertools
import json
import shlex
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from colorize_core.plan import Plan
from colorize_core.records import RECORDS, STAGES, Status
from colorize_core.runs import RUNS, retry_command
from colorize_core.seen import Seen
from colorize_core.stages import Task
from colorize_core.storage import StorageError
from colorize_core.text import duration

REFRESH_SECONDS = 10
HASH = 2**64 - 1
STATES = ("running", "finished", "too_many_failures", "failed", "interrupted")
PARTS = ("autochrome-archive", "ray", "torch", "numpy", "pillow", "imagecodecs", "simplejpeg", "opencv-python-headless")


def command_line(arguments: list[str]) -> str:
    """The command that would do the same again."""
    return shlex.join(["python", "-m", "jobs.colorize", *arguments])


def _version(part: str) -> str:
    try:
        return version(part)
    except PackageNotFoundError:
        return "not installed"


class RunLog:
    """Counts the settled records of one run, and tells of them at most every ten seconds."""

    def __init__(
        self,
        task: Task,
        plan: Plan,
        arguments: list[str],
        max_failed: str = "1%",
        price: float | None = None,
        models: Sequence[dict] = (),
    ):
        """max_failed: the failures that are allowed, a count or a share. price: of the whole cluster, an hour.

        models: what is known of each, for the file.
        """
        self.task, self.plan, self.command = task, plan, command_line(arguments)
        self.max_failed, self.price = max_failed, price
        self.state = "running"
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.milliseconds: Counter[str] = Counter()
        self.scans = self.pixels = self.bytes = 0
        self._seen = Seen()
        self.began = time.monotonic()
        self.started_at = self.progressed_at = time.time()
        self._told = 0.0
        self.about = {
            "run": task.run,
            "command": self.command,
            "source": task.source.root,
            "output": task.output.root,
            "started_at": _now(),
            "planned": len(plan.todo),
            "listed": plan.listed,
            "already_done": plan.already_done,
            "model": {"name": task.recipe.model, "digest": task.recipe.model_digest, "parts": list(models)},
            "recipe": {"digest": task.recipe.digest, "settings": asdict(task.recipe)},
            "versions": {part: _version(part) for part in PARTS},
            "host": socket.gethostname(),
        }

    @property
    def failures(self) -> int:
        return self.counts[Status.REJECTED] + self.counts[Status.FAILED]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Scans per second since the start."""
        return self.scans / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        """At that rate; not a number before the first block is back."""
        return (len(self.plan.todo) - self.scans) / self.rate if self.scans else float("nan")

    @property
    def allowed(self) -> int:
        """Photos that may fail, of those planned or of the pages that they turned out to have."""
        return allowed_failures(self.max_failed, max(len(self.plan.todo), sum(self.counts.values())))

    @property
    def cost_per_thousand(self) -> float | None:
        """Of scans, in the currency of the price; None without a price or a scan."""
        if self.price is None or not self.scans:
            return None
        return self.price * self.seconds / 3600 / self.scans * 1000

    def add(self, rows: list[dict]) -> None:
        """Count settled records; rows of one file are one scan. A block that ran twice counts once."""
        self.progressed_at = time.time()
        photos = [hash((row["key"], row["source_etag"], row["page"])) & HASH for row in rows]
        for row in itertools.compress(rows, self._seen.add(photos)):
            self.counts[row["status"]] += 1
            if row["error_class"]:
                self.errors[row["error_class"]] += 1
            self.pixels += (row["width"] or 0) * (row["height"] or 0) if row["status"] == Status.COLORIZED else 0
            for stage in STAGES:
                self.milliseconds[stage] += row[f"ms_{stage}"] or 0
            if row["page"] == 0:
                self.scans += 1
                self.bytes += row["source_size"]
        if time.monotonic() - self._told > REFRESH_SECONDS or self.scans >= len(self.plan.todo):
            self.tell()

    def tell(self, state: str = "running") -> None:
        """Refresh the line on the terminal and the file."""
        self._told = time.monotonic()
        planned, left = len(self.plan.todo), self.seconds_left
        print(
            f"{self.scans:,}/{planned:,} scans ({self.scans / max(1, planned):.0%})  {self.rate:.2f}/s  "
            f"{self.pixels / 1e6 / max(self.seconds, 1e-9):.1f} MP/s  failures {self.failures}  "
            + (f"about {duration(left)} left" if left == left else "waiting for the first block"),
            flush=True,
        )
        self.note(state)

    def note(self, state: str, exit_code: int | None = None) -> None:
        """``write``, where it matters less than what comes after: warns instead of raising."""
        try:
            self.write(state, exit_code)
        except StorageError as error:
            print(f"warning: the run's summary was not stored: {error}", file=sys.stderr)

    def write(self, state: str, exit_code: int | None = None) -> None:
        """Store ``runs/<run>.json``. Raises StorageError."""
        self.state = state
        cost = self.cost_per_thousand
        summary = self.about | {
            "state": state,
            "exit_code": exit_code,
            "updated_at": _now(),
            "finished_at": None if state == "running" else _now(),
            "done": self.scans,
            "counts": {str(status): self.counts[status] for status in Status},
            "errors": dict(self.errors),
            "bytes": self.bytes,
            "pixels": self.pixels,
            "seconds": round(self.seconds, 3),
            "rate_per_s": round(self.rate, 4),
            "stage_seconds": {stage: round(self.milliseconds[stage] / 1000, 3) for stage in STAGES},
            "price_per_hour": self.price,
            "cost_per_thousand_scans": None if cost is None else round(cost, 4),
        }
        self.task.output.put(f"{RUNS}/{self.task.run}.json", json.dumps(summary, indent=2).encode(), "application/json")

    def close(self) -> int:
        """The last lines, the last word on file, and the exit code: 3 when more failed than allowed, else 0."""
        exceeded = self.failures > allowed_failures(self.max_failed, sum(self.counts.values()))
        self.write("too_many_failures" if exceeded else "finished", 3 if exceeded else 0)
        counts, seconds = self.counts, max(self.seconds, 1e-9)
        print(
            f"done: {counts[Status.COLORIZED]:,} colorized, {counts[Status.SKIPPED_COLOR]:,} color photos left alone, "
            f"{counts[Status.REJECTED]:,} rejected, {counts[Status.FAILED]:,} failed; "
            f"{self.plan.already_done:,} scans were done before; "
            f"{duration(seconds)}, {self.rate:.2f} scans/s, {self.pixels / 1e6 / seconds:.1f} MP/s"
            + ("" if self.cost_per_thousand is None else f", {self.cost_per_thousand:.2f} a thousand scans")
        )
        if self.failures:
            output = self.task.output
            print("why: " + ", ".join(f"{kind} {count:,}" for kind, count in self.errors.most_common()))
            print(f"listed in {output.uri(RECORDS)}/run={self.task.run}/ and on the page that this writes:")
            print(f"  {shlex.join(['python', '-m', 'jobs.report', output.root])}")
            print(f"retry them: {retry_command(self.command)}")
        if exceeded:
            print(f"exit code 3: {self.failures:,} failures are more than --max-failed {self.max_failed} allows")
        return 3 if exceeded else 0


def allowed_failures(bound: str, photos: int) -> int:
    """How many of so many photos may fail under a bound such as ``20`` or ``1%``."""
    if bound.endswith("%"):
        return int(photos * float(bound[:-1]) / 100)
    return int(bound)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
