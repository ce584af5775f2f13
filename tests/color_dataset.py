"""A small dataset to train on, as the clustering job would leave it: color follows from lightness."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import simplejpeg

from colorize_core.curation.dataset import DATASET, SCHEMA, write_block
from colorize_core.storage import Store


def picture(rng: np.random.Generator, side: int = 64) -> np.ndarray:
    """A bright blue sky above dark green ground, (side, side, 3) uint8."""
    horizon = int(rng.integers(side // 4, 3 * side // 4))
    rgb = np.empty((side, side, 3), np.uint8)
    rgb[:horizon], rgb[horizon:] = (120, 170, 240), (40, 90, 30)
    return (rgb + rng.integers(0, 15, rgb.shape)).astype(np.uint8)


def write_dataset(root: str, train: int = 64, val: int = 8, test: int = 8, side: int = 64, per_file: int = 20) -> Store:
    """Write ``dataset/`` under ``root``; every third photograph is of cluster 1, the others of cluster 0."""
    rng, rows = np.random.default_rng(0), []
    for i, split in enumerate(["train"] * train + ["val"] * val + ["test"] * test):
        row = {name: None for name in SCHEMA.names}
        sha256 = hashlib.sha256(f"{i}".encode()).hexdigest()
        thumbnail = simplejpeg.encode_jpeg(picture(rng, side), 95, "RGB", "444")
        row |= {"key": f"{i}.jpg", "path": f"{i}.jpg", "sha256": sha256, "split": split, "cluster": int(i % 3 == 0),
                "width": side, "height": side, "thumbnail": thumbnail, "license": "CC0 1.0"}  # fmt: skip
        rows.append({name: row[name] for name in SCHEMA.names})
    store = Store(root)
    for at in range(0, len(rows), per_file):
        write_block(store, DATASET, f"{at:05}.parquet", pa.Table.from_pylist(rows[at : at + per_file], SCHEMA))
    return store
