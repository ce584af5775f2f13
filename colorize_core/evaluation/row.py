"""A row of the table: something that gives every photograph its colors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

TRUTH = "truth"  # the row that no colorizer fills


@dataclass(frozen=True)
class Cost:
    """What a colorizer costs: millions of parameters, GFLOPs at 256 x 256, milliseconds a photograph on one thread.

    The first two are None where a network does not show them.
    """

    parameters_m: float | None
    gflops: float | None
    ms: float


@dataclass(frozen=True)
class Row:
    """``colorize`` takes lightness (h, w) in 0..100 and gives ab (h, w, 2) in Lab units, both float32, and how unsure
    it is, from 0 to 1, or None where it does not say; threads call it.

    ``about`` says what the row is, in a sentence. Only models have a cost and details for the record.
    """

    name: str
    about: str
    colorize: Callable[[np.ndarray], tuple[np.ndarray, float | None]]
    cost: Cost | None = None
    details: dict = field(default_factory=dict)

    @property
    def is_model(self) -> bool:
        return self.cost is not None
