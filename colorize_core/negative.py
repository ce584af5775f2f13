"""What a darkroom hands to the model. Whoever receives one need not load the image libraries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from colorize_core.color import Tone
from colorize_core.header import Header


@dataclass(frozen=True)
class Negative:
    """A photo ready for the model: its facts, its tone and its lightness, (h, w) float32 in 0..100."""

    header: Header
    width: int
    height: int
    tone: Tone
    lightness: np.ndarray
