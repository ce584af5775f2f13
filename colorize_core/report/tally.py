"""A count of values over a stream of any length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

MOST = 5_000
LONGEST = 300


class Tally:
    """How often each text occurs: exact up to ``most`` different ones; beyond, rare ones are only counted as others.

    Texts longer than 300 characters count by their beginning; None and blank count as "".
    """

    def __init__(self, most: int = MOST):
        self.most = most
        self.total = 0
        self._counts: Counter[str] = Counter()

    def add(self, values: Iterable[str | None]) -> None:
        found = Counter((value or "").strip()[:LONGEST] for value in values)
        self.total += found.total()
        self._update(found)

    def merge(self, other: Tally) -> None:
        """Count what another tally has counted."""
        self.total += other.total
        self._update(other._counts)

    def _update(self, found: Counter[str]) -> None:
        self._counts.update(found)
        if len(self._counts) > self.most:
            kept = sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))[: self.most // 2]
            self._counts = Counter(dict(kept))

    def top(self, most: int) -> tuple[list[tuple[str, int]], int]:
        """The most frequent values with their counts, and how many occurrences the others make together."""
        ordered = sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
        return ordered, self.total - sum(count for _, count in ordered)
