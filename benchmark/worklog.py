"""The log of a contender: when each photo was taken up, and when it was done or given up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "worklog.json"


@dataclass
class Entry:
    """A photo by its path under the input, seconds of the clock, and why it could not be done."""

    key: str
    began: float
    ended: float = 0.0
    error: str | None = None

    def end(self, error: BaseException | None = None) -> Entry:
        self.ended = time.time()
        self.error = None if error is None else f"{type(error).__name__}: {error}"[:200]
        return self


def write(folder: Path, entries: Iterable[Entry]) -> None:
    (folder / NAME).write_text(json.dumps([asdict(entry) for entry in entries]))


def read(folder: Path) -> list[Entry]:
    """Raises FileNotFoundError where a contender died before its end."""
    return [Entry(**row) for row in json.loads((folder / NAME).read_text())]
