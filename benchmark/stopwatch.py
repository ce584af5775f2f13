"""A stopwatch for work within work: every moment is charged to the innermost thing being timed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds by name: ``cpu`` of this process with all its threads, ``wall`` by the clock."""

    def __init__(self) -> None:
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self.wall: defaultdict[str, float] = defaultdict(float)
        self._names: list[str] = []
        self._since = (0.0, 0.0)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Charge to ``name`` what happens inside; whoever was being charged waits."""
        self._charge()
        self._names.append(name)
        try:
            yield
        finally:
            self._charge()
            self._names.pop()

    def _charge(self) -> None:
        now = time.process_time(), time.perf_counter()
        if self._names:
            self.cpu[self._names[-1]] += now[0] - self._since[0]
            self.wall[self._names[-1]] += now[1] - self._since[1]
        self._since = now
