"""The assembly of a dataset: fit photographs sorted into clusters and splits, the others listed with the reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from colorize_core.curation.clusters import read_clusters
from colorize_core.curation.dataset import (
    DATASET,
    DIGEST,
    DROPPED,
    DROPPED_SCHEMA,
    EXAMINED,
    SCHEMA,
    read_block,
    split_of,
    write_block,
)
from colorize_core.curation.selection import TWIN
from colorize_core.curation.thumbnails import squares
from colorize_core.storage import Store

NEAREST = 24  # photographs of a cluster that each file may propose as its nearest


class Assemble:
    """Turns files of ``examined/`` into files of ``dataset/`` and ``dropped/`` of the same name."""

    def __init__(self, output: Store):
        self.output, self.clusters = output, read_clusters(output)

    def __call__(self, file: str, kept: Sequence[int], dropped: Sequence[int], twin_of: Sequence[str | None]) -> dict:
        """Store both files; gives how many are in each cluster and split, and the nearest to each center."""
        table = read_block(self.output, EXAMINED, file)
        rows = table.take(pa.array(kept, pa.int32()))
        labels, distances = self._sort(rows["thumbnail"].to_pylist())
        digests = rows["sha256"].to_pylist()
        splits = [split_of(digest) for digest in digests]
        columns = {"cluster": pa.array(labels, pa.int32()), "split": pa.array(splits, pa.string())}
        dataset = pa.table([columns.get(f.name, rows[f.name] if f.name in rows.column_names else None) for f in SCHEMA],
            schema=SCHEMA)  # fmt: skip
        write_block(self.output, DATASET, file, dataset, {DIGEST: self.clusters.digest})
        write_block(self.output, DROPPED, file, _dropped(table.take(pa.array(dropped, pa.int32())), twin_of))
        return {
            "file": file,
            "rows": len(kept) + len(dropped),
            "sizes": np.bincount(labels, minlength=self.clusters.k).tolist(),
            "splits": {name: splits.count(name) for name in ("train", "val", "test")},
            "nearest": [_nearest(labels == k, distances, digests) for k in range(self.clusters.k)],
        }

    def _sort(self, thumbnails: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        labels, distances = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for pictures in squares(thumbnails):
            label, distance = self.clusters.assign(pictures)
            labels.append(label)
            distances.append(distance)
        return np.concatenate(labels), np.concatenate(distances)


def _nearest(mask: np.ndarray, distances: np.ndarray, digests: list[str]) -> list[dict]:
    order = sorted(np.flatnonzero(mask), key=lambda i: (distances[i], digests[i]))[:NEAREST]
    return [{"distance": float(distances[i]), "sha256": digests[i]} for i in order]


def _dropped(rows: pa.Table, twin_of: Sequence[str | None]) -> pa.Table:
    """Rows of ``DROPPED_SCHEMA``; those that examination found fit are near duplicates."""
    reasons, messages = rows["reason"].to_pylist(), rows["message"].to_pylist()
    for i, twin in enumerate(twin_of):
        if twin is not None:
            reasons[i], messages[i] = TWIN, f"nearly the same picture as the one with SHA-256 {twin}"
    made = {"reason": reasons, "message": messages, "twin_of": list(twin_of)}
    return pa.table([pa.array(made[f.name], f.type) if f.name in made else rows[f.name] for f in DROPPED_SCHEMA],
        schema=DROPPED_SCHEMA)  # fmt: skip
