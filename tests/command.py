"""The jobs as commands, and what colorizing leaves in its output folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
from PIL import Image
from skimage import data

from colorize_core.ledger import latest, read_records
from colorize_core.storage import Store

ROOT = Path(__file__).parent.parent


def job(*arguments: str | Path, verb: str = "colorize") -> list[str]:
    return [sys.executable, "-m", f"jobs.{verb}", *map(str, arguments)]


def run_job(
    *arguments: str | Path, env: dict[str, str] | None = None, seconds: int = 240
) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | (env or {})
    return subprocess.run(job(*arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds)


def start_job(*arguments: str | Path, env: dict[str, str] | None = None, verb: str = "colorize") -> subprocess.Popen:
    """The job in a process group of its own, so that all of it can be killed."""
    return subprocess.Popen(
        job(*arguments, verb=verb), cwd=ROOT, env=os.environ | (env or {}), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored below a background shell
    )  # fmt: skip


def descendants(pid: int) -> set[int]:
    """A process and everything it started; Ray's daemons leave its group, but not its tree."""
    children = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parent = {int(pid): int(ppid) for pid, ppid in (line.split() for line in children.splitlines())}
    tree, grew = {pid}, True
    while grew:
        more = {pid for pid, ppid in parent.items() if ppid in tree} - tree
        tree, grew = tree | more, bool(more)
    return tree


def kill_tree(process: subprocess.Popen) -> None:
    for pid in descendants(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def ledger(output: Path | str) -> pa.Table:
    return latest(read_records(Store(str(output))))


def digests(output: Path | str) -> dict[tuple[str, int], str]:
    rows = ledger(output).select(["key", "page", "output_sha256"]).to_pylist()
    return {(row["key"], row["page"]): row["output_sha256"] for row in rows}


def write_photographs(folder: Path, count: int) -> None:
    """Many small scans that differ."""
    folder.mkdir(parents=True)
    picture = Image.fromarray(data.astronaut()).convert("L")
    for i in range(count):
        picture.crop((i, i // 2, 300 + i, 280 + i // 2)).save(folder / f"scan {i:03}.jpg", quality=85)
