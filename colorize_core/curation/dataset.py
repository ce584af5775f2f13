"""The tables of a clustered dataset: what was examined, what was kept to train on, what was dropped."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from colorize_core.storage import Damaged, Store

EXAMINED, DATASET, DROPPED = "examined", "dataset", "dropped"
CLUSTERS_JSON, CLUSTERS_TENSORS = "clusters.json", "clusters.safetensors"
DIGEST = b"clusters"  # key of the metadata of every file of the dataset: the digest of the clustering it was sorted by


def _field(name: str, kind: pa.DataType, doc: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, metadata={"description": doc})


ABOUT = [
    _field("url_sha1", pa.string(), "SHA-1 of the url"),
    _field("url", pa.string(), "address of the photograph"),
    _field("page_url", pa.string(), "landing page"),
    _field("source", pa.string(), "collection it comes from"),
    _field("title", pa.string(), "as the source gives it"),
    _field("creator", pa.string(), "as the source gives it"),
    _field("date", pa.string(), "as the source gives it"),
    _field("license", pa.string(), "terms in the source's own words"),
    _field("license_url", pa.string(), "canonical URI of the terms"),
    _field("category", pa.string(), "the source's category, or the folder it lies in"),
    _field("crawled_at", pa.timestamp("ms", tz="UTC"), "when the original was fetched"),
    _field("path", pa.string(), "key of the original under the input root"),
]
FACTS = [
    _field("sha256", pa.string(), "SHA-256 of the original"),
    _field("width", pa.int32(), "pixels of the original, upright"),
    _field("height", pa.int32(), "pixels of the original, upright"),
    _field("thumbnail", pa.binary(), "sRGB JPEG, long side 256 px or the original's if that is less"),
    _field("dhash", pa.uint64(), "64-bit difference hash"),
]
SCHEMA = pa.schema(
    [
        *ABOUT,
        *FACTS,
        _field("cluster", pa.int32(), "cluster, from 0"),
        _field("split", pa.string(), "train | val | test"),
    ]
)
EXAMINED_SCHEMA = pa.schema(
    [
        _field("key", pa.string(), "identity under the input root", nullable=False),
        _field("etag", pa.string(), "version of the original", nullable=False),
        _field("rules", pa.string(), "digest of what the examination went by", nullable=False),
        *ABOUT,
        *FACTS,
        _field("signature", pa.binary(192), "8 x 8 RGB, to confirm near duplicates"),
        _field("format", pa.string(), "file format found in the bytes"),
        _field("tone", pa.string(), "neutral | toned | color"),
        _field("reason", pa.string(), "why it cannot be trained on; null when it can"),
        _field("message", pa.string(), "the reason in a sentence"),
        _field("examined_at", pa.timestamp("ms", tz="UTC"), "when it was examined"),
    ]
)
DROPPED_SCHEMA = pa.schema(
    [
        _field("key", pa.string(), "identity under the input root", nullable=False),
        _field("url", pa.string(), "address of the photograph"),
        _field("category", pa.string(), "the source's category, or the folder it lies in"),
        _field("sha256", pa.string(), "SHA-256 of the original"),
        _field("reason", pa.string(), "why it was dropped", nullable=False),
        _field("message", pa.string(), "the reason in a sentence"),
        _field("twin_of", pa.string(), "SHA-256 of the photograph kept in its place"),
        _field("thumbnail", pa.binary(), "sRGB JPEG, long side 256 px at most; null where it could not be opened"),
    ]
)
FAILED = "failed"  # the reason of what storage did not give: examined again by the next run
TEST_SHARE, VAL_SHARE = 0.05, 0.05


def split_of(sha256: str) -> str:
    """train, val or test, by the content of the original alone: 90, 5 and 5 in a hundred."""
    place = int(sha256[-8:], 16) / 2**32
    return "test" if place < TEST_SHARE else "val" if place < TEST_SHARE + VAL_SHARE else "train"


def lot(sha256: str) -> int:
    """A number to draw samples by, lowest first: of the content alone, and unrelated to the split."""
    return int(hashlib.sha1(sha256.encode()).hexdigest()[:15], 16)


def blocks(store: Store, folder: str) -> list[str]:
    """Names of the Parquet files of a folder and the folders in it, sorted."""
    return sorted(e.key.removeprefix(f"{folder}/") for e in store.list(f"{folder}/") if e.key.endswith(".parquet"))


def read_block(store: Store, folder: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One file of a folder. Raises Damaged naming it when it cannot be read."""
    key = f"{folder}/{name}"
    try:
        file = pq.ParquetFile(pa.BufferReader(store.read(key)), page_checksum_verification=True)
        return file.read(columns=list(columns) if columns else None)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise Damaged(
            f"{store.uri(key)} is not a readable table ({reason}); delete it to have its photographs examined again"
        ) from error


def read_blocks(store: Store, folder: str, columns: Sequence[str] | None = None) -> Iterator[tuple[str, pa.Table]]:
    """Every file of a folder with its name, one at a time."""
    for name in blocks(store, folder):
        yield name, read_block(store, folder, name, columns)


def write_block(store: Store, folder: str, name: str, table: pa.Table, metadata: dict | None = None) -> None:
    """Store one file of a folder, all of it or nothing, over whatever was there."""
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **(metadata or {})})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    store.put(f"{folder}/{name}", sink.getvalue(), "application/vnd.apache.parquet")


def prune(store: Store, names: Iterable[str]) -> None:
    """Remove the files of ``dataset/`` and ``dropped/`` other than these: what they held is gone or is in these."""
    names = set(names)
    for folder in (DATASET, DROPPED):
        for name in blocks(store, folder):
            if name not in names:
                store.delete(f"{folder}/{name}")


def block_name(rows: Iterable[tuple[str, str]], rules: str) -> str:
    """A file name for the examination of some (key, etag): the same for the same photographs under the same rules."""
    return hashlib.sha1(repr((rules, list(rows))).encode()).hexdigest()[:20] + ".parquet"
