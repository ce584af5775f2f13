"""A draw by lot from a stream of any length."""

from __future__ import annotations

import hashlib
import heapq
from typing import Generic, TypeVar

T = TypeVar("T")


def lot(identity: str) -> int:
    """The lot of a photograph: it depends on nothing but the identity, such as the SHA-256 of its bytes."""
    return int.from_bytes(hashlib.sha1(f"draw {identity}".encode()).digest()[:8], "big")


class Draw(Generic[T]):
    """The ``count`` things of the lowest lots, whatever the order in which they come by; no more are ever held."""

    def __init__(self, count: int):
        self.count = count
        self._held: list[tuple[int, T]] = []

    def wants(self, ticket: int) -> bool:
        """Whether a thing of this lot would be held now: asked before the thing is made."""
        return len(self._held) < self.count or (self.count > 0 and -ticket > self._held[0][0])

    def add(self, ticket: int, thing: T) -> None:
        """Hold the thing if its lot is low enough; a lot that is held already is the same photograph again."""
        if not self.wants(ticket) or any(held == -ticket for held, _ in self._held):
            return
        entry = -ticket, thing
        if len(self._held) < self.count:
            heapq.heappush(self._held, entry)
        else:
            heapq.heapreplace(self._held, entry)

    def things(self) -> list[T]:
        """What is held, the lowest lot first."""
        return [thing for _, thing in sorted(self._held, key=lambda held: -held[0])]
