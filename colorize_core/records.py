"""The record: what happened to a photo, as a row of Parquet."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import pyarrow as pa
import pyarrow.parquet as pq

from colorize_core.storage import Store

RECORDS = "records"
MERGED = "merged-"  # first characters of the names of files that stand for many smaller ones


class Status(StrEnum):
    """The final state of a photo."""

    COLORIZED = "colorized"
    SKIPPED_COLOR = "skipped_color"  # already a color photograph: left alone
    REJECTED = "rejected"  # bad input: never retried
    FAILED = "failed"  # infrastructure: retried on the next run


STAGES = ("fetch", "prepare", "predict", "finish", "put")  # each has its milliseconds in the record
DONE = frozenset({Status.COLORIZED, Status.SKIPPED_COLOR, Status.REJECTED})


def column(kind: pa.DataType, doc: str, **default):
    """A dataclass field that is also a documented Parquet column."""
    return field(metadata={"arrow": kind, "doc": doc}, **default)


def nullable(kind: pa.DataType, doc: str):
    return column(kind, doc, default=None)


@dataclass
class Record:
    """One row for every photo attempted: who it is, what became of it, and how."""

    key: str = column(pa.string(), "path under the input root")
    page: int = column(pa.int32(), "page of a multi-page file, from 0")
    source_uri: str = column(pa.string(), "where the scan was read")
    source_size: int = column(pa.int64(), "bytes of the scan")
    source_etag: str = column(pa.string(), "version of the scan: the store's etag, or size-mtime on a file system")
    recipe: str = column(pa.string(), "digest of the weights and of every setting that can change a pixel")
    status: str = column(pa.string(), "colorized | skipped_color | rejected | failed")
    run: str = column(pa.string(), "the run that wrote this row")
    error_class: str | None = nullable(pa.string(), "kind of failure, one word; null when there was none")
    error_message: str | None = nullable(pa.string(), "what went wrong and what to do about it")
    source_sha256: str | None = nullable(pa.string(), "SHA-256 of the scan as read")
    output_uri: str | None = nullable(pa.string(), "where the color derivative is")
    output_key: str | None = nullable(pa.string(), "the derivative's path under the output root")
    output_size: int | None = nullable(pa.int64(), "bytes of the derivative")
    output_sha256: str | None = nullable(pa.string(), "SHA-256 of the derivative")
    width: int | None = nullable(pa.int32(), "pixels, orientation applied")
    height: int | None = nullable(pa.int32(), "pixels, orientation applied")
    source_format: str | None = nullable(pa.string(), "file format found in the bytes, whatever the name says")
    source_mode: str | None = nullable(pa.string(), "color model of the scan: 1, L, LA, P, RGB, RGBA, CMYK, Lab, ...")
    source_bits: int | None = nullable(pa.int32(), "bits per channel of the scan")
    source_icc: str | None = nullable(pa.string(), "name of the embedded ICC profile")
    source_dpi: float | None = nullable(pa.float64(), "horizontal resolution, dots per inch")
    source_pages: int | None = nullable(pa.int32(), "pages in the file")
    tone: str | None = nullable(pa.string(), "neutral | toned | color: what the scan looked like")
    model: str | None = nullable(pa.string(), "name of the model")
    model_digest: str | None = nullable(pa.string(), "SHA-256 of the weights file")
    colorfulness: float | None = nullable(pa.float64(), "Hasler-Suesstrunk colorfulness of the result, gray is 0")
    hints: str | None = nullable(pa.string(), "SHA-256 of the color hints that were followed; null without")
    uncertainty: float | None = nullable(pa.float64(), "mean uncertainty of the model, 0 sure to 1 no idea")
    uncertainty_key: str | None = nullable(pa.string(), "path under the output root of a map of that, where asked for")
    gamut_mapped: float | None = nullable(pa.float64(), "share of pixels whose chroma was reduced to fit sRGB, 0 to 1")
    ms_fetch: float | None = nullable(pa.float64(), "milliseconds reading the scan from storage")
    ms_prepare: float | None = nullable(pa.float64(), "milliseconds checking, decoding and scaling down")
    ms_predict: float | None = nullable(pa.float64(), "milliseconds in the model, this photo's share of its batch")
    ms_finish: float | None = nullable(pa.float64(), "milliseconds composing and encoding")
    ms_put: float | None = nullable(pa.float64(), "milliseconds storing the derivative")
    attempt: int | None = nullable(
        pa.int32(), "how many runs have attempted this photo at this version and recipe, from 1"
    )
    host: str | None = nullable(pa.string(), "machine that did the work")
    finished_at: datetime | None = nullable(pa.timestamp("ms", tz="UTC"), "when the photo reached its state")
    premis: str | None = nullable(pa.string(), "the attempt as a PREMIS 3 event, in JSON")

    @property
    def identity(self) -> tuple[str, int, str, str]:
        return self.key, self.page, self.source_etag, self.recipe


SCHEMA = pa.schema(
    [
        pa.field(f.name, f.metadata["arrow"], f.default is None, metadata={"description": f.metadata["doc"]})
        for f in dataclasses.fields(Record)
    ]
)


def to_table(records: Iterable[Record]) -> pa.Table:
    """Records as rows of ``SCHEMA``."""
    return pa.Table.from_pylist([dataclasses.asdict(r) for r in records], SCHEMA)


def write_records(store: Store, run: str, records: list[Record]) -> None:
    """Store records as one Parquet file, named by what it holds: written twice, it replaces itself."""
    name = hashlib.sha1(repr(sorted((r.identity for r in records), key=repr)).encode()).hexdigest()
    sink = io.BytesIO()
    pq.write_table(to_table(records), sink, compression="zstd", write_page_checksum=True)
    store.put(f"{RECORDS}/run={run}/{name}.parquet", sink.getvalue(), "application/vnd.apache.parquet")
