"""The signatures of an output folder: which derivatives, as of which bytes, have a signed copy.

Derivatives stay as they are, since signatures differ each time and the bytes of derivatives are promised not to. Signed
copies lie in ``signed/`` under the names that derivatives have in ``photos/``; ``signatures/*.parquet`` tells of them.
"""

from __future__ import annotations

import hashlib
import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from colorize_core.ledger import columns_of, current, gather
from colorize_core.records import Status
from colorize_core.storage import Damaged, Store

SIGNATURES = "signatures"
SIGNED = "signed"
SCHEMA = pa.schema(
    {
        "output_key": pa.string(),
        "output_sha256": pa.string(),  # of the derivative
        "signed_key": pa.string(),
        "signed_sha256": pa.string(),  # of its signed copy
        "signed_at": pa.timestamp("ms", tz="UTC"),
    }
)
COLUMNS = (
    *("key", "page", "attempt", "finished_at", "status", "output_key", "output_sha256"),
    *("source_format", "source_sha256", "model", "model_digest"),
)
CODED = ("status", "source_format", "model", "model_digest")  # few values, many rows


def signed_key(output_key: str) -> str:
    """Where the signed copy of a derivative lies under the output root."""
    return f"{SIGNED}/{output_key.partition('/')[2]}"


def unsigned(store: Store) -> tuple[pa.Table, int]:
    """Records of the derivatives that have no signed copy, or one of other bytes, and how many have theirs.

    Raises StorageError, and LookupError where there is no record.
    """
    photos = current(gather(store, columns_of(COLUMNS, CODED)).unify_dictionaries())
    if not photos.num_rows:
        raise LookupError(f"{store.root} holds no records of a colorize job")
    photos = photos.filter(pc.equal(photos["status"], Status.COLORIZED.value))
    there = {entry.key for entry in store.list(f"{SIGNED}/")}
    signed = read_signatures(store).sort_by("signed_at")
    latest = dict(zip(signed["output_key"].to_pylist(), signed["output_sha256"].to_pylist(), strict=True))
    pairs = zip(photos["output_key"].to_pylist(), photos["output_sha256"].to_pylist(), strict=True)
    todo = [latest.get(key) != sha256 or signed_key(key) not in there for key, sha256 in pairs]
    found = photos.filter(pa.array(todo, pa.bool_()))
    return found, photos.num_rows - found.num_rows


def read_signatures(store: Store) -> pa.Table:
    """Every signature ever written, in ``SCHEMA``. Raises Damaged naming a file that holds none."""
    tables = [SCHEMA.empty_table()]
    for entry in store.list(f"{SIGNATURES}/"):
        try:
            tables.append(pq.read_table(pa.BufferReader(store.read(entry.key)), schema=SCHEMA))
        except pa.ArrowException as error:
            raise Damaged(
                f"{store.uri(entry.key)} is not a file of signatures; delete it to have its photos signed again"
            ) from error
    return pa.concat_tables(tables)


def write_signatures(store: Store, rows: list[dict]) -> None:
    """Store signatures as one file, named by what it holds."""
    name = hashlib.sha1("".join(sorted(row["signed_sha256"] for row in rows)).encode()).hexdigest()
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), sink, compression="zstd")
    store.put(f"{SIGNATURES}/{name}.parquet", sink.getvalue(), "application/vnd.apache.parquet")
