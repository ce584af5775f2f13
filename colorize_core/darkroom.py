"""Where a photo's pixels are handled: from a file to the model's input, and from the model's answer to a file.

Jobs run a darkroom inside a sandbox; only paths, small arrays and facts cross its walls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from colorize_core import derivative, propagation, provenance
from colorize_core.compose import Composition
from colorize_core.derivative import Print
from colorize_core.hints import Hints
from colorize_core.inputs import Input
from colorize_core.negative import Negative
from colorize_core.photo import Header, Limits, Photo, open_photo, read_header
from colorize_core.shrink import shrink

CHART_SIDE = 384  # pixels: the longer side of a map of uncertainty


class Darkroom:
    """Keeps the photo it opened last, so that finishing it does not decode it again."""

    def __init__(self, limits: Limits):
        cv2.setNumThreads(1)
        self.limits = limits
        self._opened: tuple[Path, int, Photo] | None = None

    def inspect(self, path: Path) -> Header:
        """The header alone. Raises Rejected."""
        return read_header(path, self.limits)

    def prepare(self, path: Path, page: int, views: Sequence[Input]) -> Negative:
        """Decode a page and shrink it to what models want to see. Raises Rejected."""
        photo = self._open(path, page)
        height, width = photo.codes.shape
        lightness = tuple(shrink(photo.codes, photo.lut, *view.size(width, height)) for view in views)
        return Negative(photo.header, width, height, photo.tone(), lightness)

    def finish(
        self,
        path: Path,
        page: int,
        ab: np.ndarray,
        hints: Hints | None,
        spread: bool,
        encoding: derivative.Encoding,
        label: provenance.Label,
        source: str,
        sha256: str,
        target: Path,
    ) -> Print:
        """Compose a page with the model's ab, (h, w, 2) float32, and write the labelled derivative to ``target``.

        ``hints`` are those for the page: exact where they are and, with ``spread``, carried on to their surroundings.
        ``source`` and ``sha256`` say in the label what the derivative was made from.
        """
        photo = self._open(path, page)
        header, (height, width) = photo.header, photo.codes.shape
        format = derivative.resolve(encoding, header.format, width, height, photo.alpha is not None, photo.bits)
        if hints and spread:
            ab = propagation.spread(shrink(photo.codes, photo.lut, ab.shape[1], ab.shape[0]), ab, hints)
        elif hints:
            ab = propagation.toward_palette(ab, hints.palette)
        composition = Composition(photo, ab, derivative.depth(format, photo.bits), hints)
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

    def chart(self, uncertainty: np.ndarray, width: int, height: int) -> bytes:
        """A small PNG of where a model was unsure, (h, w) in 0..1, in the shape of a photo: white is no idea."""
        scale = min(1.0, CHART_SIDE / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        codes = np.rint(np.clip(cv2.resize(uncertainty, size, interpolation=cv2.INTER_AREA), 0, 1) * 255)
        return cv2.imencode(".png", codes.astype(np.uint8))[1].tobytes()

    def close(self) -> None:
        """Let go of the photo opened last."""
        self._opened = None

    def _open(self, path: Path, page: int) -> Photo:
        if self._opened is None or self._opened[:2] != (path, page):
            self._opened = None  # free it before the next one is decoded
            self._opened = path, page, open_photo(path, self.limits, page)
        return self._opened[2]
