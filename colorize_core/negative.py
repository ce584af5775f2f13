"""What a darkroom hands to the models. Whoever receives one need not load the image libraries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from colorize_core.color import Tone
from colorize_core.header import Header


@dataclass(frozen=True)
class Negative:
    """A photo ready for the models: its facts, its tone, and its lightness in 0..100 at the size of each view.

    lightness: (h, w) float32 for each.
    """

    header: Header
    width: int
    height: int
    tone: Tone
    lightness: tuple[np.ndarray, ...]
