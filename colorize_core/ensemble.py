"""Several looks at a photo whose colors are averaged: by one model or more, mirrored, at more sizes. Loads no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from colorize_core.inputs import LARGEST_SIDE, MULTIPLE, Input
from colorize_core.weights import HALVED, TAKES_HINTS, Model, ModelError, find_all

TEST_TIME = ("flip", "sizes")
SIZES = (0.75, 1.25)  # of a model's own side


@dataclass(frozen=True)
class Ensemble:
    """Models, and how often each looks at a photo: ``test_time`` holds words of ``TEST_TIME``, in that order."""

    models: tuple[Model, ...]
    test_time: tuple[str, ...] = ()

    @classmethod
    def find(cls, spec: str, test_time: Sequence[str] = ()) -> Ensemble:
        """The models that ``spec`` names (see ``weights.find_all``). Raises ModelError."""
        models = find_all(spec)
        if "sizes" in test_time and (fixed := [model.name for model in models if model.about.get("fixed")]):
            raise ModelError(f"{', '.join(fixed)} takes pictures of one size only; leave out sizes from --test-time")
        return cls(models, tuple(test_time))

    @property
    def name(self) -> str:
        return "+".join(model.name for model in self.models)

    @property
    def digest(self) -> str:
        """SHA-256 in hex: of the weights file, or of those of all models joined by ``+``."""
        digests = [model.digest for model in self.models]
        return digests[0] if len(digests) == 1 else hashlib.sha256("+".join(digests).encode()).hexdigest()

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What each model sees when it looks once."""
        return tuple(model.input for model in self.models)

    @property
    def takes_hints(self) -> bool:
        """Whether every model is given color hints and spreads them by itself."""
        return all(model.architecture in TAKES_HINTS for model in self.models)

    def provenance(self) -> list[dict]:
        """Of each model: name, architecture, digest and, as far as known, license, citation and whether the file
        is one that its authors published.
        """
        known = ("license", "citation", "official", "origin")
        return [
            {"name": model.name, "architecture": model.architecture, "digest": model.digest}
            | {name: model.about[name] for name in known if name in model.about}
            for model in self.models
        ]

    @property
    def full_precision_only(self) -> list[str]:
        """Names of those models whose colors nobody has looked at in half precision."""
        return [model.name for model in self.models if model.architecture not in HALVED]


def sizes(wanted: Input, test_time: Iterable[str]) -> list[Input]:
    """The inputs that one model looks at, its own first."""
    scales = SIZES if "sizes" in test_time else ()
    sides = (min(max(round(wanted.side * scale / MULTIPLE), 1) * MULTIPLE, LARGEST_SIDE) for scale in scales)
    return list(dict.fromkeys([wanted, *(Input(side, wanted.squash) for side in sides)]))


def views(inputs: Iterable[Input], test_time: Iterable[str]) -> tuple[Input, ...]:
    """The different inputs that a photo is shrunk to, for models that want ``inputs``."""
    return tuple(dict.fromkeys(view for wanted in inputs for view in sizes(wanted, test_time)))
