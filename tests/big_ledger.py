"""A ledger as years of work leave it: ``python -m tests.big_ledger OUT SCANS`` writes real Parquet files of records.

Every scan is one page with names, versions and digests like real ones. One in fifty is rejected, and one in fifty has
failed in one run and was colorized by the next, so that two rows tell of it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from colorize_core.records import SCHEMA, Status

RECIPE = "5a" * 32
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = 50  # one scan of so many is rejected, and one has failed first
CHUNK = 250_000  # rows that are made at a time
HEX = np.frombuffer(b"".join(b"%02x" % i for i in range(256)), "<u2")


def scans(first: int, end: int) -> pa.Table:
    """Key, size and etag of the scans with these numbers."""
    numbers = np.arange(first, end)
    keys = [f"collection {i // 100_000:03}/box {i // 500:05}/sheet-{i * 2654435761 % 2**32:010}.tif" for i in numbers]
    return pa.table({"key": keys, "size": 1_000_000 + numbers, "etag": _hex(first, end, 16)})


def rows(first: int, end: int, run: str) -> pa.Table:
    """The last word on these scans."""
    found, n = scans(first, end), end - first
    bad = np.arange(first, end) % EVERY == 1
    random = np.random.default_rng(first)
    key, size = found["key"].combine_chunks(), found["size"]
    values = {
        "key": key,
        "page": np.zeros(n, np.int32),
        "source_uri": pa.compute.binary_join_element_wise("s3://archive/scans", key, "/"),
        "source_size": size,
        "source_etag": found["etag"],
        "status": np.where(bad, str(Status.REJECTED), str(Status.COLORIZED)),
        "error_class": pa.array(np.where(bad, "truncated", ""), mask=~bad),
        "error_message": pa.array(np.where(bad, "the file ends in the middle of the picture", ""), mask=~bad),
        "source_sha256": _hex(first, end, 32),
        "output_key": pa.compute.binary_join_element_wise("photos/", key, ".jpg", ""),
        "output_sha256": _hex(first + 1, end + 1, 32),
        "output_size": random.integers(100_000, 900_000, n),
        "width": random.integers(1000, 9000, n).astype(np.int32),
        "height": random.integers(1000, 9000, n).astype(np.int32),
        **{f"ms_{stage}": random.random(n) * 100 for stage in ("fetch", "prepare", "predict", "finish", "put")},
        **{name: random.random(n) for name in ("colorfulness", "uncertainty", "gamut_mapped")},
        "finished_at": np.datetime64(BEGAN.replace(tzinfo=None), "ms") + np.arange(first, end) * 200,
    }
    constant = {"recipe": RECIPE, "run": run, "source_pages": 1, "attempt": 1, "tone": "neutral", "host": "node-1",
                "source_format": "TIFF", "source_mode": "L", "source_bits": 8, "model": "autochrome"}  # fmt: skip
    values |= {name: pa.repeat(pa.scalar(value, SCHEMA.field(name).type), n) for name, value in constant.items()}
    arrays = []
    for field in SCHEMA:
        value = values.get(field.name)
        array = pa.nulls(n, field.type) if value is None else value if isinstance(value, pa.Array) else None
        if array is None:
            array = value.combine_chunks() if isinstance(value, pa.ChunkedArray) else pa.array(value)
        arrays.append(array.cast(field.type))
    return pa.table(arrays, schema=SCHEMA)


def failures(first: int, end: int, run: str) -> pa.Table:
    """The failed rows of an earlier run for one scan of fifty."""
    table = rows(first, end, run).filter(pa.array(np.arange(first, end) % EVERY == 0))
    n = table.num_rows
    replaced = {"status": str(Status.FAILED), "error_class": "StorageError", "error_message": "the store is busy"}
    for name, value in replaced.items():
        table = table.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), pa.repeat(value, n))
    earlier = pa.compute.subtract(table["finished_at"], pa.scalar(timedelta(days=1), pa.duration("ms")))
    return table.set_column(SCHEMA.get_field_index("finished_at"), SCHEMA.field("finished_at"), earlier)


def write(folder: Path, count: int, runs: int, per_file: int) -> None:
    """The records and the summaries of ``runs`` runs over ``count`` scans, and the manifest of the archive."""
    (folder / "runs").mkdir(parents=True)
    ends = [count * i // runs for i in range(runs + 1)]
    for i, (first, end) in enumerate(zip(ends[:-1], ends[1:], strict=True)):
        name, following = f"r{i:04}", ends[min(i + 2, runs)]
        part = folder / "records" / f"run={name}"
        part.mkdir(parents=True)
        made = 0
        for table in _tables(first, end, following, name):
            for start in range(0, table.num_rows, per_file):
                sink = io.BytesIO()
                pq.write_table(table.slice(start, per_file), sink, compression="zstd", write_page_checksum=True)
                (part / f"{_name(name, made)}.parquet").write_bytes(sink.getvalue())
                made += 1
        began = (BEGAN + timedelta(days=i)).isoformat()
        summary = {"run": name, "state": "finished", "exit_code": 0, "started_at": began, "updated_at": began,
                   "command": f"python -m jobs.colorize s3://archive/scans {folder}", "planned": end - first,
                   "done": end - first, "rate_per_s": 5.0}  # fmt: skip
        (folder / "runs" / f"{name}.json").write_text(json.dumps(summary))


def write_manifest(path: Path, count: int) -> None:
    """The archive itself, as an inventory."""
    schema = scans(0, 1).schema
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, count, CHUNK):
            writer.write_table(scans(first, min(first + CHUNK, count)))


def _tables(first: int, end: int, following: int, run: str) -> Iterator[pa.Table]:
    for start in range(first, end, CHUNK):
        yield rows(start, min(start + CHUNK, end), run)
    for start in range(end, following, CHUNK):  # what failed here, and the next run did
        yield failures(start, min(start + CHUNK, following), run)


def _name(run: str, number: int) -> str:
    return hashlib.sha1(f"{run} {number}".encode()).hexdigest()


def _hex(first: int, end: int, size: int) -> pa.Array:
    """Random bytes in hex, the same for the same number."""
    state = np.arange(first, end, dtype=np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
    words = state + np.arange(1, size // 8 + 1, dtype=np.uint64) * np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(31)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(29)
    text = HEX[words.view(np.uint8)].tobytes()
    offsets = np.arange(end - first + 1, dtype=np.int32) * (2 * size)
    return pa.StringArray.from_buffers(end - first, pa.py_buffer(offsets), pa.py_buffer(text))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.big_ledger", description=__doc__)
    parser.add_argument("folder", metavar="OUT", type=Path, help="a new output folder; OUT/manifest.parquet is written")
    parser.add_argument("count", metavar="SCANS", type=int, help="scans of the archive")
    parser.add_argument("--runs", type=int, default=10, metavar="N", help="runs that did them (default %(default)s)")
    parser.add_argument("--per-file", type=int, default=32, metavar="N", help="rows in a file (default %(default)s)")
    args = parser.parse_args()
    write(args.folder, args.count, args.runs, args.per_file)
    write_manifest(args.folder / "manifest.parquet", args.count)


if __name__ == "__main__":
    main()
