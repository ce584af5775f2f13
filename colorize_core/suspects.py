"""Which photo a worker had in hand when it died.

A worker notes in the output folder that it began a block of photos. Finding such a note when it begins, it knows that
another worker died on the block, and from then on notes every photo before it touches it and does nothing else beside.
A photo that was in hand at two such deaths is the cause, and is rejected without being touched again; its neighbors
are done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TypeVar

from colorize_core.storage import StorageError, Store

DEATHS = 2
ADVICE = "open it in a viewer, then mend or remove it"
Photo = TypeVar("Photo")
Result = TypeVar("Result")


class WorkerDied(Exception):
    """Two workers died with this photo in hand."""

    error_class = "worker_died"


class Suspects:
    """The note on one block of one run."""

    def __init__(self, output: Store, run: str, block: str, alone: AbstractContextManager | None = None):
        """alone: keeps other work out of a process with threads, so that only the noted photo can be the cause."""
        self.output, self.key, self.alone = output, f"runs/{run}/in-hand/{block}", alone or nullcontext()
        self.careful = False
        self.deaths: dict[str, int] = {}

    def begin(self) -> None:
        """Read what an earlier worker left, and leave a note."""
        if self.output.exists(self.key):
            note = json.loads(self.output.read(self.key))
            self.careful, self.deaths = True, note["deaths"]
            if note["in_hand"] is not None:
                self.deaths[note["in_hand"]] = self.deaths.get(note["in_hand"], 0) + 1
        self._note(None)

    def work_through(
        self,
        photos: Iterable[Photo],
        name: Callable[[Photo], str],
        work: Callable[[Photo], Iterable[Result]],
        give_up: Callable[[Photo, WorkerDied], Result],
    ) -> list[Result]:
        """What ``work`` makes of every photo; ``give_up`` instead for the one that killed two workers."""
        self.begin()
        results: list[Result] = []
        with self.alone if self.careful else nullcontext():
            for photo in photos:
                if self.deaths.get(name(photo), 0) >= DEATHS:
                    error = WorkerDied(f"{DEATHS} workers died with this photo in hand; {ADVICE}")
                    results.append(give_up(photo, error))
                    continue
                if self.careful:
                    self._note(name(photo))
                results += work(photo)
        return results

    def end(self) -> None:
        """The block is done and its records are stored."""
        with suppress(StorageError):
            self.output.delete(self.key)

    def _note(self, in_hand: str | None) -> None:
        self.output.put(self.key, json.dumps({"in_hand": in_hand, "deaths": self.deaths}).encode(), "application/json")
