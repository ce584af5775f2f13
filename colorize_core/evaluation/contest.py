"""Every row colors every photograph, and each result is measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from colorize_core.evaluation.perception import Fid, Inception, Lpips
from colorize_core.evaluation.protocol import Protocol, compose
from colorize_core.evaluation.rarity import Rarity
from colorize_core.evaluation.row import TRUTH, Row
from colorize_core.evaluation.score import FIGURES, Truth, score
from colorize_core.training.data import Photographs
from colorize_core.training.metrics import colorfulness

SCHEMA = pa.schema(
    [
        ("row", pa.string()),
        ("sha256", pa.string()),
        ("cluster", pa.int32()),
        *((figure, pa.float64()) for figure in (*FIGURES, "lpips", "uncertainty")),
    ]
)
Features = tuple[torch.Tensor, dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Contest:
    """``lpips`` and ``inception`` are None where nobody asked for those measures or they cannot be taken."""

    photographs: Photographs
    protocol: Protocol
    rows: list[Row]
    rarity: Rarity
    lpips: Lpips | None = None
    inception: Inception | None = None

    def truth(self, i: int) -> Truth:
        picture = self.protocol.picture(self.photographs.thumbnails[i], self.photographs.sha256[i])
        return Truth.of(picture, self.rarity)

    def colorize(self, row: Row, truth: Truth, i: int) -> tuple[np.ndarray, float | None]:
        """The i-th photograph as the row colors it, (side, side, 3) uint8 sRGB, and how unsure it is."""
        try:
            ab, uncertainty = row.colorize(truth.lightness)
            return compose(truth.lightness, ab), uncertainty
        except ValueError as error:
            raise ValueError(f"{row.name} fails on photograph {self.photographs.sha256[i]}: {error}") from error

    def hold(self, progress: Callable[[], None]) -> tuple[pa.Table, dict[str, float]]:
        """The figures of every photograph in every row, the truth's own included, by SCHEMA; and each row's FID.

        There are as many threads as CPUs; the result depends on nothing of that. ``progress`` is called after each
        photograph.
        """
        found: list[dict] = []
        fid = Fid([row.name for row in self.rows]) if self.inception else None
        for entries, features in self._each():
            found += entries
            if fid and features:
                fid.add(*features)
            progress()
        return pa.Table.from_pylist(found, SCHEMA), fid.distances() if fid else {}

    def _each(self) -> Iterator[tuple[list[dict], Features | None]]:
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            yield from pool.map(self._measure, range(len(self.photographs)))
        finally:
            pool.shutdown(cancel_futures=True)

    def _measure(self, i: int) -> tuple[list[dict], Features | None]:
        truth = self.truth(i)
        about = {"sha256": self.photographs.sha256[i], "cluster": int(self.photographs.clusters[i])}
        entries = [{"row": TRUTH, "colorfulness": colorfulness(truth.rgb)} | about]
        features = {}
        for row in self.rows:
            rgb, uncertainty = self.colorize(row, truth, i)
            figures = score(rgb, truth) | {"uncertainty": uncertainty}
            if self.lpips:
                figures["lpips"] = self.lpips(rgb, truth.rgb)
            if self.inception:
                features[row.name] = self.inception(rgb)
            entries.append({"row": row.name} | figures | about)
        return entries, (self.inception(truth.rgb), features) if self.inception else None
