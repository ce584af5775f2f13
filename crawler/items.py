"""A photo met by the crawler, as a row of Parquet."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from colorize_core.records import column, nullable


@dataclass
class Photo:
    """What a source says about a photograph, and what became of it. Spiders fill everything up to ``source_json``."""

    url: str = column(pa.string(), "address of the picture")
    page_url: str = column(pa.string(), "address of the page that presents it")
    source: str = column(pa.string(), "the spider, or the site, that it comes from")
    source_id: str | None = nullable(pa.string(), "the source's own name for it")
    title: str | None = nullable(pa.string(), "title as given")
    creator: str | None = nullable(pa.string(), "photographer as given")
    date: str | None = nullable(pa.string(), "date of the photograph, text as given")
    license: str | None = nullable(pa.string(), "rights, text as given")
    license_url: str | None = nullable(pa.string(), "rights as a URI; null when unknown")
    category: str | None = nullable(pa.string(), "what was asked of the source: a category, a query, a collection")
    source_json: str | None = nullable(pa.string(), "the source's own record, verbatim")
    url_sha1: str = column(pa.string(), "SHA-1 of the address", default="")
    status: str = column(pa.string(), "stored | duplicate | metadata_only | rejected | failed", default="")
    error_class: str | None = nullable(pa.string(), "kind of failure, one word; null when there was none")
    error_message: str | None = nullable(pa.string(), "what went wrong")
    path: str | None = nullable(pa.string(), "the original under the output root; a duplicate names the file it equals")
    sha256: str | None = nullable(pa.string(), "SHA-256 of the bytes served")
    size: int | None = nullable(pa.int64(), "bytes served")
    width: int | None = nullable(pa.int32(), "pixels, orientation applied")
    height: int | None = nullable(pa.int32(), "pixels, orientation applied")
    format: str | None = nullable(pa.string(), "file format found in the bytes, whatever the address says")
    crawled_at: datetime | None = nullable(pa.timestamp("ms", tz="UTC"), "when the photo reached its status")
    run: str = column(pa.string(), "the run that wrote this row", default="")


SCHEMA = pa.schema(
    [
        pa.field(f.name, f.metadata["arrow"], f.default is None, metadata={"description": f.metadata["doc"]})
        for f in dataclasses.fields(Photo)
    ]
)
