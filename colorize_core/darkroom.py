"""Where a photo's pixels are handled: from a file to the model's input, and from the model's answer to a file.

Jobs run a darkroom inside a sandbox; only paths, small arrays and facts cross its walls.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from colorize_core import derivative, provenance
from colorize_core.compose import Composition
from colorize_core.derivative import Print
from colorize_core.negative import Negative
from colorize_core.photo import Header, Limits, Photo, open_photo, read_header
from colorize_core.shrink import shrink


class Darkroom:
    """Keeps the photo it opened last, so that finishing it does not decode it again."""

    def __init__(self, limits: Limits):
        cv2.setNumThreads(1)
        self.limits = limits
        self._opened: tuple[Path, int, Photo] | None = None

    def inspect(self, path: Path) -> Header:
        """The header alone. Raises Rejected."""
        return read_header(path, self.limits)

    def prepare(self, path: Path, page: int, side: int) -> Negative:
        """Decode a page and shrink it for a model of the given input side. Raises Rejected."""
        photo = self._open(path, page)
        height, width = photo.codes.shape
        return Negative(photo.header, width, height, photo.tone(), shrink(photo.codes, photo.lut, side))

    def finish(
        self,
        path: Path,
        page: int,
        ab: np.ndarray,
        encoding: derivative.Encoding,
        label: provenance.Label,
        source: str,
        sha256: str,
        target: Path,
    ) -> Print:
        """Compose a page with the model's ab, (h, w, 2) float32, and write the labelled derivative to ``target``.

        ``source`` and ``sha256`` say in the label what the derivative was made from.
        """
        photo = self._open(path, page)
        header, (height, width) = photo.header, photo.codes.shape
        format = derivative.resolve(encoding, header.format, width, height, photo.alpha is not None, photo.bits)
        composition = Composition(photo, ab, derivative.depth(format, photo.bits))
        metadata = provenance.derive(
            provenance.read_metadata(path, header.format, page), label, width, height, source, sha256
        )
        derivative.encode(
            target,
            iter(composition),
            width,
            height,
            composition.depth,
            replace(encoding, format=format),
            metadata,
            photo.alpha,
        )
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Print(format, target.stat().st_size, digest, composition.colorfulness, composition.gamut_mapped)

    def close(self) -> None:
        """Let go of the photo opened last."""
        self._opened = None

    def _open(self, path: Path, page: int) -> Photo:
        if self._opened is None or self._opened[:2] != (path, page):
            self._opened = None  # free it before the next one is decoded
            self._opened = path, page, open_photo(path, self.limits, page)
        return self._opened[2]
