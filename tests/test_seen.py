from __future__ import annotations

import numpy as np

from colorize_core.seen import Seen


def test_a_number_is_new_once():
    seen, known, random = Seen(), set[int](), np.random.default_rng(0)
    for _ in range(300):
        numbers = random.integers(0, 2**64, 6, dtype=np.uint64).tolist() + random.integers(0, 4000, 30).tolist()
        expected = [number not in known and number not in numbers[:i] for i, number in enumerate(numbers)]
        assert seen.add(numbers).tolist() == expected
        known.update(numbers)
    assert seen.add([]).tolist() == []


def test_a_million_take_eight_megabytes():
    seen = Seen()
    for block in np.random.default_rng(0).integers(0, 2**64, (1000, 1000), np.uint64):
        seen.add(block.tolist())
    assert sum(part.nbytes for part in seen._parts) <= 8_000_000 and len(seen._parts) < 20
