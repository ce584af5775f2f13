"""Which photo a worker had in hand when it died.

A worker notes in the output folder that it began a block of photos. Finding such a note when it begins, it knows that
another worker died on the block, and from then on notes every photo before it touches it. A photo that was in hand at
two such deaths is the cause, and is rejected without being touched again; its neighbors are done.
"""

from __future__ import annotations

import contextlib
import json

from colorize_core.storage import StorageError, Store

DEATHS = 2


class WorkerDied(Exception):
    """Two workers died with this photo in hand."""

    error_class = "worker_died"


class Suspects:
    """The note on one block of one run."""

    def __init__(self, output: Store, run: str, block: str):
        self.output, self.key = output, f"runs/{run}/in-hand/{block}"
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

    def take(self, key: str) -> None:
        """Before a photo is touched. Raises WorkerDied for the one that killed two workers."""
        if self.deaths.get(key, 0) >= DEATHS:
            raise WorkerDied(f"{DEATHS} workers died with this photo in hand; open it in a viewer, then mend or remove it")
        if self.careful:
            self._note(key)

    def end(self) -> None:
        """The block is done and its records are stored."""
        with contextlib.suppress(StorageError):
            self.output.delete(self.key)

    def _note(self, in_hand: str | None) -> None:
        self.output.put(self.key, json.dumps({"in_hand": in_hand, "deaths": self.deaths}).encode(), "application/json")
