"""What is known of a model before its weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from colorize_core.inputs import Input


class ModelError(Exception):
    """The weights cannot be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Model:
    """A weights file: which network it is for, what that sees, and what else is said of it.

    digest: SHA-256 in hex of the file, and of whatever else decides a color.
    """

    path: Path
    name: str
    architecture: str
    config: dict
    input: Input
    digest: str
    about: dict
