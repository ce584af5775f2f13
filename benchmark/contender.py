"""A contender: a command that turns a folder of scans into one of color pictures, run and timed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.dataset as arrow

from benchmark import worklog
from colorize_core.records import RECORDS, STAGES, Status

ROOT = Path(__file__).parent.parent
ADDRESS_SPACE = 16 << 30  # bytes for each process of a script; Ray maps more than it uses
SECONDS = 7200  # after which a command has hung
JOB = "the job"
ALTERNATIVES = {"plain loop": "plain_loop", "DataLoader": "dataloader", "Ray Data textbook": "ray_textbook"}


@dataclass(frozen=True)
class Outcome:
    """What a contender did: seconds by the clock, and keys of photos.

    working: from the first photo taken up to the last one done. first: from the start of the command to the first
    photo done. pictures: where each photo's result is, below the output folder. stages: sums over the photos, of the
    job only.
    """

    name: str
    wall: float
    working: float
    first: float
    pictures: dict[str, str]
    failed: dict[str, str]
    stages: dict[str, float]

    @property
    def photos(self) -> int:
        return len(self.pictures)


def run(name: str, source: Path, output: Path, watch: Callable[[int], object] | None = None) -> Outcome:
    """Let a contender work into a fresh folder; ``watch`` is called with its process id.

    Raises SubprocessError, and RuntimeError where not one photo was done.
    """
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    module = "jobs.colorize" if name == JOB else f"benchmark.{ALTERNATIVES[name]}"
    arguments = ["--max-failed", "100%"] if name == JOB else []
    guard = None if name in (JOB, "Ray Data textbook") else limit_memory
    began, clock = time.time(), time.perf_counter()
    command(module, source, output, *arguments, guard=guard, watch=watch)
    wall = time.perf_counter() - clock
    entries, pictures, stages = (read_records if name == JOB else read_worklog)(output)
    done = [entry for entry in entries if entry.error is None]
    if not done:
        raise RuntimeError(f"{name} has done none of the photos in {source}: {entries[:1]}")
    working = max(entry.ended for entry in entries) - min(entry.began for entry in entries)
    failed = {entry.key: entry.error for entry in entries if entry.error is not None}
    return Outcome(name, wall, working, min(entry.ended for entry in done) - began, pictures, failed, stages)


def command(
    module: str,
    *arguments: str | Path,
    guard: Callable[[], None] | None = None,
    watch: Callable[[int], object] | None = None,
    **environment: str,
) -> str:
    """Run a module of this project and give what it printed. Raises SubprocessError.

    guard: called in the new process before its program. watch: called with its process id once it runs.
    """
    line = [sys.executable, "-m", module, *map(str, arguments)]
    env = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "OMP_NUM_THREADS")}
    with subprocess.Popen(
        line, cwd=ROOT, env=env | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=guard,
    ) as process:  # fmt: skip
        try:
            if watch:
                watch(process.pid)
            out, err = process.communicate(timeout=SECONDS)
        except BaseException:
            process.terminate()  # the jobs end their own workers then
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, line, out, err)
    return out


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def read_worklog(output: Path) -> tuple[list[worklog.Entry], dict[str, str], dict[str, float]]:
    entries = worklog.read(output)
    return entries, {entry.key: f"{entry.key}.jpg" for entry in entries if entry.error is None}, {}


def read_records(output: Path) -> tuple[list[worklog.Entry], dict[str, str], dict[str, float]]:
    """The same of a job, from its records: a photo was taken up as long before its end as its stages took."""
    names = ["key", "status", "error_message", "output_key", "finished_at", *(f"ms_{stage}" for stage in STAGES)]
    rows = {row["key"]: row for row in arrow.dataset(output / RECORDS, format="parquet").to_table(names).to_pylist()}
    entries, pictures = [], {}
    for key, row in rows.items():
        ended = row["finished_at"].timestamp()
        began = ended - sum(row[f"ms_{stage}"] or 0 for stage in STAGES) / 1000
        colorized = row["status"] == Status.COLORIZED
        entries.append(worklog.Entry(key, began, ended, None if colorized else row["error_message"] or row["status"]))
        if colorized:
            pictures[key] = row["output_key"]
    stages = {stage: sum(row[f"ms_{stage}"] or 0 for row in rows.values()) / 1000 for stage in STAGES}
    return entries, pictures, stages


def link(paths: Sequence[Path], root: Path, folder: Path) -> Path:
    """A folder of links to some of the files below ``root``, under their own names."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in paths:
        name = folder / path.relative_to(root)
        name.parent.mkdir(parents=True, exist_ok=True)
        name.symlink_to(path.resolve())
    return folder
