"""A worker's bench: a folder for local copies, and a sandbox for whoever handles their bytes."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from colorize_core.header import Limits, Rejected
from colorize_core.sandbox import Crashed, Sandbox
from colorize_core.storage import Entry, Store

GIANT = 256 << 20  # bytes; of scans as large as this a worker has one local copy at a time


class Work(Protocol):
    """What a bench must know of the job: where photos come from, and what one photo may cost."""

    @property
    def source(self) -> Store: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def seconds(self) -> float:
        """For one step on one photo, half a second per megapixel on top."""

    @property
    def memory(self) -> int:
        """Bytes."""


class Workbench:
    """Local copies of photos, and ``kind(limits, *args)`` in a sandbox to work on them.

    Several threads may copy at a time; ``turn`` is held by the one that works on a photo.
    """

    def __init__(self, work: Work, kind: type | str = "colorize_core.darkroom:Darkroom", *args: Any):
        self.work = work
        self.scratch = scratch()
        self.turn = threading.RLock()
        self._giant = threading.RLock()
        self._numbers = itertools.count()
        self.sandbox = Sandbox(kind, work.limits, *args, memory=work.memory)
        self.sandbox.start()

    def call(self, method: str, *args: Any, pixels: int = 0) -> Any:
        """A method in the sandbox, tried again in a fresh one after a crash: it may not have been the photo's doing."""
        seconds = self.work.seconds + pixels / 2e6
        with self.turn:
            try:
                return self.sandbox.call(method, *args, seconds=seconds)
            except Crashed:
                return self.sandbox.call(method, *args, seconds=seconds)

    def room(self, size: int) -> AbstractContextManager:
        """To be held while there is a local copy of so many bytes, and asked for before the turn."""
        return self._giant if size >= GIANT else nullcontext()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold back every other thread's work on photos."""
        with self._giant, self.turn:
            yield

    def new_path(self) -> Path:
        """A path never used before: the darkroom knows photos by their path."""
        return self.scratch / f"{next(self._numbers)}"

    def copy(self, entry: Entry, path: Path) -> str:
        """Copy a photo to a local path; gives its SHA-256. Raises StorageError, and Rejected for too large a file."""
        limit = self.work.limits.file_bytes
        if entry.size > limit:
            message = f"{entry.size / 1e9:.2f} GB is over the limit of {limit / 1e9:g} GB"
            raise Rejected("too_large", f"{message}; raise --max-gigabytes and add --retry-failed")
        return self.work.source.fetch(entry, path)


def scratch() -> Path:
    """A new folder for local copies, readable by nobody else; those of processes that have died are removed."""
    for old in Path(tempfile.gettempdir()).glob("autochrome-*-*"):
        pid = old.name.split("-")[1]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"autochrome-{os.getpid()}-"))
