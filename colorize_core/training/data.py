"""The photographs of a dataset, as training and evaluation take them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import simplejpeg

from colorize_core.curation.dataset import DATASET, blocks, read_block
from colorize_core.storage import Store

COLUMNS = ("sha256", "thumbnail", "cluster", "split", "license")
FRAMINGS = ("squash", "crop", "letterbox")


class DatasetError(Exception):
    """The dataset cannot be used; the message names what is wrong and what to do."""


@dataclass(frozen=True)
class Photographs:
    """Photographs of one split: encoded thumbnails, in the order of their ids.

    ``ids`` (N,) int64 are the first 63 bits of each photograph's SHA-256; ``digest`` covers every ``sha256``, in order.
    """

    ids: np.ndarray
    sha256: list[str]
    thumbnails: list[bytes]
    clusters: np.ndarray
    licenses: Counter
    digest: str

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, places: Sequence[int]) -> Photographs:
        """Those at some places; the licenses stay those of all."""
        sha256, chosen = [self.sha256[i] for i in places], list(places)
        thumbnails = [self.thumbnails[i] for i in places]
        return Photographs(
            self.ids[chosen], sha256, thumbnails, self.clusters[chosen], self.licenses, digest_of(sha256)
        )

    def decoded(self, side: int, framing: str) -> np.ndarray:
        """All of them as (N, side, side, 3) uint8. Raises DatasetError naming one that cannot be decoded."""
        pictures = np.empty((len(self), side, side, 3), np.uint8)
        for i, (sha256, thumbnail) in enumerate(zip(self.sha256, self.thumbnails, strict=True)):
            pictures[i] = decode(thumbnail, side, framing, sha256)
        return pictures


def digest_of(sha256: list[str]) -> str:
    """One digest of a list of photographs."""
    return hashlib.sha256("".join(sha256).encode()).hexdigest()


def identity(sha256: str) -> int:
    """A photograph's id: the first 63 bits of its SHA-256."""
    return int(sha256[:16], 16) >> 1


def dataset_blocks(store: Store) -> list[str]:
    """Names of the dataset's files. Raises DatasetError where there is none."""
    names = blocks(store, DATASET)
    if not names:
        raise DatasetError(f"no dataset/*.parquet in {store.root}; make a dataset with python -m jobs.cluster")
    return names


@dataclass(frozen=True)
class Overview:
    """What a dataset has to train on: its clusters, photographs by split, licenses and digest of the train split."""

    clusters: tuple[int, ...]
    splits: Counter
    licenses: Counter
    digest: str


def survey(store: Store, clusters: Collection[int] | None = None) -> Overview:
    """Look a dataset over without its thumbnails. Raises DatasetError for a cluster that it does not have."""
    columns = ["sha256", "cluster", "split", "license"]
    table = pa.concat_tables([read_block(store, DATASET, name, columns) for name in dataset_blocks(store)])
    known = tuple(sorted(pc.unique(table["cluster"]).to_pylist()))
    if clusters is not None:
        if missing := sorted(set(clusters) - set(known)):
            raise DatasetError(f"{store.root} has no cluster {missing[0]}; it has {', '.join(map(str, known))}")
        table = table.filter(pc.is_in(table["cluster"], pa.array(sorted(clusters), table["cluster"].type)))
    train = table.filter(pc.equal(table["split"], "train"))
    licenses = Counter(license or "not stated" for license in train["license"].to_pylist())
    splits = Counter(table["split"].to_pylist())
    return Overview(known, splits, licenses, digest_of(sorted(train["sha256"].to_pylist())))


def read_rows(store: Store, name: str, split: str, clusters: Collection[int] | None = None) -> pa.Table:
    """Rows of one file that belong to the split, and to one of the clusters where some are given."""
    table = read_block(store, DATASET, name, COLUMNS)
    kept = pc.equal(table["split"], split)
    if clusters is not None:
        kept = pc.and_(kept, pc.is_in(table["cluster"], pa.array(sorted(clusters), table["cluster"].type)))
    return table.filter(kept)


def read_photographs(store: Store, split: str, clusters: Collection[int] | None = None) -> Photographs:
    """Every photograph of a split, some 10 KB each. Raises DatasetError where there is no dataset or none fits."""
    parts = [read_rows(store, name, split, clusters) for name in dataset_blocks(store)]
    table = pa.concat_tables(parts).sort_by("sha256")
    if not len(table):
        chosen = "" if clusters is None else f" in cluster {', '.join(map(str, sorted(clusters)))}"
        raise DatasetError(f"{store.root} has no photographs of the split {split!r}{chosen}")
    sha256 = table["sha256"].to_pylist()
    return Photographs(
        np.array([identity(s) for s in sha256], np.int64),
        sha256,
        table["thumbnail"].to_pylist(),
        table["cluster"].to_numpy().astype(np.int64),
        Counter(license or "not stated" for license in table["license"].to_pylist()),
        digest_of(sha256),
    )


def decode(thumbnail: bytes, side: int, framing: str = "crop", sha256: str = "") -> np.ndarray:
    """A JPEG as (side, side, 3) uint8 sRGB.

    ``framing`` is "squash" (the whole picture, its aspect ignored), "crop" (the centered square) or "letterbox" (the
    whole picture between black bars). Raises DatasetError naming ``sha256`` when it cannot be decoded.
    """
    try:
        rgb = simplejpeg.decode_jpeg(thumbnail, "RGB", strict=True)
    except ValueError as error:
        raise DatasetError(
            f"the thumbnail of photograph {sha256} cannot be decoded ({error}); delete the file of dataset/ that holds "
            "it and run python -m jobs.cluster again"
        ) from error
    height, width = rgb.shape[:2]
    if framing == "crop":
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        rgb = rgb[top : top + short, left : left + short]
    elif framing == "letterbox":
        long = max(height, width)
        top, left = (long - height) // 2, (long - width) // 2
        rgb = cv2.copyMakeBorder(rgb, top, long - height - top, left, long - width - left, cv2.BORDER_CONSTANT)
    elif framing != "squash":
        raise ValueError(f"unknown framing {framing!r}; known: {', '.join(FRAMINGS)}")
    if rgb.shape[:2] == (side, side):
        return np.ascontiguousarray(rgb)
    shrinks = side < rgb.shape[0] and side < rgb.shape[1]
    return cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


@dataclass(frozen=True)
class Batch:
    """Photographs to train on: ``ids`` (B,) int64 and ``rgb`` (B, side, side, 3) uint8."""

    ids: np.ndarray
    rgb: np.ndarray

    def part(self, start: int, stop: int | None = None) -> Batch:
        """Some of them, by place."""
        return Batch(self.ids[start:stop], self.rgb[start:stop])

    def with_more(self, ids: np.ndarray, rgb: np.ndarray) -> Batch:
        """These and then others."""
        if not len(self.ids):
            return Batch(ids, rgb)
        return Batch(np.concatenate([self.ids, ids]), np.concatenate([self.rgb, rgb]))


def shuffled(photographs: Photographs, size: int, side: int, framing: str, seed: int, epoch: int,
             seen: np.ndarray) -> Iterator[Batch]:  # fmt: skip
    """One epoch in batches, each photograph once but for those ``seen``; the last batch may be small."""
    order = np.random.default_rng([seed, epoch]).permutation(len(photographs))
    order = order[~np.isin(photographs.ids[order], seen)]
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        rgb = [decode(photographs.thumbnails[i], side, framing, photographs.sha256[i]) for i in chosen]
        yield Batch(photographs.ids[chosen], np.stack(rgb))
