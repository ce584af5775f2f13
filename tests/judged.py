"""A small clustered dataset and small random weights, for tests of the evaluation."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import simplejpeg
import torch
from safetensors.torch import save_file
from skimage import data

from colorize_core.curation.dataset import DATASET, SCHEMA, write_block
from colorize_core.models import build
from colorize_core.storage import Store


def jpeg(rgb: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality=95, colorsubsampling="444")


def write_dataset(folder: Path, splits: dict[str, list[np.ndarray]], clusters: int = 2) -> None:
    """Pictures (h, w, 3) uint8 of each split, in clusters by turns."""
    rows = []
    for split, pictures in splits.items():
        for number, picture in enumerate(pictures):
            thumbnail = jpeg(picture)
            sha256 = hashlib.sha256(thumbnail).hexdigest()
            rows.append({"sha256": sha256, "thumbnail": thumbnail, "cluster": number % clusters, "split": split})
    write_block(Store(str(folder)), DATASET, "block.parquet", pa.Table.from_pylist(rows, SCHEMA))


def crops(count: int, side: int, seed: int) -> list[np.ndarray]:
    """Pieces of color photographs."""
    rng, pictures = np.random.default_rng(seed), [data.astronaut(), data.coffee(), data.cat()]
    found = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        top, left = (int(rng.integers(0, picture.shape[axis] - side)) for axis in (0, 1))
        found.append(picture[top : top + side, left : left + side])
    return found


def write_weights(path: Path, architecture: str = "gray2lab", side: int = 64, name: str = "", **about: str) -> Path:
    """Freshly initialized weights, as a training leaves them."""
    torch.manual_seed(0)
    network = build(architecture, {})
    metadata = {"name": name or path.stem, "architecture": architecture, "config": json.dumps({}), "side": str(side)}
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path, metadata | about)
    return path
