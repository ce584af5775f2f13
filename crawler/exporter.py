"""Photos as a Parquet file."""

from __future__ import annotations

from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from scrapy.exporters import BaseItemExporter

from crawler.items import SCHEMA


class ParquetExporter(BaseItemExporter):
    """Collects one batch of photos and writes it, in the types of ``SCHEMA``, when the batch ends."""

    def __init__(self, file: IO[bytes], **options: Any):
        super().__init__(**options)
        self.file = file
        self.rows: list[dict[str, Any]] = []

    def export_item(self, item: Any) -> None:
        self.rows.append(dict(self.get_serialized_fields(item, include_empty=True)))

    def finish_exporting(self) -> None:
        table = pa.Table.from_pylist(self.rows, SCHEMA)
        pq.write_table(table, self.file, compression="zstd", write_page_checksum=True)
        self.rows = []
