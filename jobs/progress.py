"""The line on the terminal that says how far a job has come."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from colorize_core.text import duration

REFRESH_SECONDS = 10


class Progress:
    """Tells at most every ten seconds, and at the end, how many of so many things are done, and what time is left."""

    def __init__(self, planned: int, noun: str, stream: TextIO | None = None):
        """stream: standard output unless given."""
        self.planned, self.noun, self.done, self.stream = planned, noun, 0, stream
        self.began = self._told = time.monotonic()

    def add(self, count: int = 1) -> None:
        self.done += count
        now = time.monotonic()
        if now - self._told > REFRESH_SECONDS or (count and self.done >= self.planned):
            self._told = now
            rate = self.done / max(now - self.began, 1e-9)
            left = duration((self.planned - self.done) / rate) if rate else "unknown time"
            line = f"{self.done:,}/{self.planned:,} {self.noun} ({self.done / self.planned:.0%})  {rate:.1f}/s"
            print(f"{line}  about {left} left", file=self.stream or sys.stdout, flush=True)
