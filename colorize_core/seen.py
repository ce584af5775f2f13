"""A set of 64-bit numbers that only grows, in eight bytes each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Seen:
    """Kept as sorted arrays, each at least twice as long as the next, so that there are few to look into."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []

    def add(self, numbers: Sequence[int]) -> np.ndarray:
        """Which of the numbers, 0 to 2**64 - 1, are here for the first time: (numbers,) bool."""
        values, places = np.unique(np.array(numbers, np.uint64), return_index=True)
        is_new = np.ones(len(values), bool)
        for part in self._parts:
            is_new &= part[np.minimum(np.searchsorted(part, values), len(part) - 1)] != values
        found = np.zeros(len(numbers), bool)
        found[places[is_new]] = True
        if is_new.any():
            self._parts.append(values[is_new])
        while len(self._parts) > 1 and len(self._parts[-2]) < 2 * len(self._parts[-1]):
            last = self._parts.pop()
            self._parts[-1] = np.sort(np.concatenate([self._parts[-1], last]))
        return found
