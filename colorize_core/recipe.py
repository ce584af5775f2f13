"""The recipe: every setting that can change a pixel, and the digest that names results made with it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

from colorize_core.derivative import Encoding
from colorize_core.provenance import Label

PIXELS = 2  # raised when the code changes what any photo comes out as


@dataclass(frozen=True)
class Recipe:
    """A model and how its colors are used. ``side`` is the model's nominal input side in pixels."""

    model: str
    model_digest: str
    side: int
    encoding: Encoding
    recolor: bool  # colorize color photographs too
    label: Label
    precision: str = "float32"  # or bfloat16: of the model's arithmetic

    @cached_property
    def digest(self) -> str:
        """16 hex digits; the model counts by its weights, not by its name."""
        settings = asdict(self) | {"pixels": PIXELS}
        del settings["model"]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
