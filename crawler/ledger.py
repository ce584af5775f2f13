"""The ledger of a crawl: which photos an output root already has, and under which names."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from colorize_core.records import RECORDS
from colorize_core.storage import Damaged, Entry, Store
from crawler.items import SCHEMA

ORIGINALS = "originals"
COLUMNS = ["url_sha1", "status", "path", "sha256"]
READERS = 16


class Ledger:
    """known: SHA-1 of address -> its status, where that is not ``failed``.
    paths: SHA-256 of bytes -> the original that holds them.
    unrecorded: SHA-1 of address -> an original that no record tells of, because a crawl died before it could.

    Digests are bytes, to hold millions. Raises StorageError.
    """

    def __init__(self, store: Store):
        self.known: dict[bytes, str] = {}
        self.paths: dict[bytes, str] = {}
        entries = sorted((e for e in store.list(f"{RECORDS}/") if e.key.endswith(".parquet")), key=lambda e: e.key)
        with ThreadPoolExecutor(READERS) as pool:
            for table in pool.map(lambda entry: _read(store, entry), entries):
                for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
                    self._add(*row)
        found = ((_named(entry.key), entry) for entry in store.list(f"{ORIGINALS}/"))
        stored = set(self.paths.values())
        self.unrecorded = {sha1: entry for sha1, entry in found if sha1 and entry.key not in stored}

    def _add(self, sha1: str, status: str, path: str | None, sha256: str | None) -> None:
        """Rows come in any order: two crawls may have run side by side."""
        digest = bytes.fromhex(sha1)
        if status == "metadata_only":
            self.known.setdefault(digest, "metadata_only")
        elif status != "failed":
            self.known[digest] = sys.intern(status)
        if status == "stored" and path and sha256:
            self.paths[bytes.fromhex(sha256)] = path


def _read(store: Store, entry: Entry) -> pa.Table:
    try:
        buffer = pa.BufferReader(store.read(entry.key))
        table = pq.read_table(buffer, columns=COLUMNS, page_checksum_verification=True)
        return table.cast(pa.schema([SCHEMA.field(name) for name in COLUMNS]))
    except (pa.ArrowException, OSError, KeyError) as e:
        raise Damaged(
            f"{store.uri(entry.key)} is not a readable file of records ({str(e).strip().splitlines()[0]}); "
            "restore it, or delete it to have its photos crawled again"
        ) from e


def _named(key: str) -> bytes | None:
    """The SHA-1 that an original is named by."""
    try:
        sha1 = bytes.fromhex(PurePosixPath(key).stem)
    except ValueError:
        return None
    return sha1 if len(sha1) == 20 else None
