"""The recipe: every setting that can change a pixel, and the digest that names results made with it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

from colorize_core.derivative import Encoding
from colorize_core.ensemble import Ensemble, views
from colorize_core.inputs import Input
from colorize_core.provenance import Label

PIXELS = 3  # raised when the code changes what any photo comes out as


@dataclass(frozen=True)
class Recipe:
    """An ensemble of models and how its colors are used. ``inputs`` are what each model sees."""

    model: str
    model_digest: str
    inputs: tuple[Input, ...]
    encoding: Encoding
    recolor: bool  # colorize color photographs too
    label: Label
    precision: str = "float32"  # or bfloat16: of the models' arithmetic
    test_time: tuple[str, ...] = ()  # words of ensemble.TEST_TIME
    spread: bool = True  # color hints over the prediction, which has not seen them

    @classmethod
    def of(
        cls, ensemble: Ensemble, encoding: Encoding, recolor: bool, label: Label, precision: str = "float32"
    ) -> Recipe:
        return cls(
            ensemble.name,
            ensemble.digest,
            ensemble.inputs,
            encoding,
            recolor,
            label,
            precision,
            ensemble.test_time,
            not ensemble.takes_hints,
        )

    @property
    def views(self) -> tuple[Input, ...]:
        """The different inputs that a photo is shrunk to."""
        return views(self.inputs, self.test_time)

    @cached_property
    def digest(self) -> str:
        """16 hex digits; the models count by their weights, not by their names."""
        settings = asdict(self) | {"pixels": PIXELS}
        del settings["model"]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def digest_with(self, hints: str | None) -> str:
        """The digest for a photo with hints, given as text; for one without that is ``digest``."""
        if hints is None:
            return self.digest
        return hashlib.sha256(f"{self.digest} {hints}".encode()).hexdigest()[:16]
