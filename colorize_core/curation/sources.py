"""Where a dataset's photographs come from: a crawl, a folder, arrays.

Each lists its photographs as rows of ``LISTING``, says what is known about some of them (the columns of
``dataset.ABOUT``), and gives a local copy of one.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colorize_core import color
from colorize_core.curation.dataset import ABOUT, read_block, read_blocks
from colorize_core.keys import readable
from colorize_core.photo import Rejected
from colorize_core.storage import Entry, NotFound, Store
from colorize_core.workbench import Workbench, scratch

LISTING = pa.schema(
    [
        ("key", pa.string()),  # identity under the root
        ("name", pa.binary()),  # the key as the store knows it: a file name need not be text
        ("etag", pa.string()),  # version; empty when the photograph is gone
        ("size", pa.int64()),
        ("file", pa.string()),  # of a crawl's records
        ("row", pa.int64()),  # in that file, or in the arrays
    ]
)


LAB_SCALE, LAB_SHIFT = (100 / 255, 1, 1), (0, 128, 128)  # of 8-bit Lab


class SourceError(ValueError):
    """There is nothing to make a dataset from; the message says what is missing."""


class Source(Protocol):
    store: Store

    def listing(self) -> pa.Table:
        """Every photograph, as rows of ``LISTING``. Raises StorageError, and SourceError for unusable input."""

    def about(self, rows: list[dict]) -> list[dict]:
        """What is known about some rows of the listing, in their order."""

    def copy(self, row: dict, bench: Workbench, path: Path) -> str:
        """Write one photograph to a local path; gives its SHA-256. Raises StorageError and Rejected."""


def find_source(store: Store) -> Source:
    """What kind of source lies under a root, by what is in it."""
    if next(iter(store.list("originals/")), None) and next(iter(store.list("records/")), None):
        return Crawl(store)
    for folder in ("", "l/"):
        if store.exists(f"{folder}{Arrays.GRAY}"):
            return Arrays(store, f"{folder}{Arrays.GRAY}")
    return Folder(store)


class Folder:
    """Photographs in a folder or bucket; the folder that one lies in is its category."""

    def __init__(self, store: Store):
        self.store = store

    def listing(self) -> pa.Table:
        entries = sorted(self.store.list(), key=lambda entry: entry.key)
        rows = [{"key": readable(e.key), "name": os.fsencode(e.key), "etag": e.etag, "size": e.size} for e in entries]
        return pa.Table.from_pylist(rows, LISTING)

    def about(self, rows: list[dict]) -> list[dict]:
        return [self._about(row["key"]) for row in rows]

    def _about(self, key: str) -> dict:
        url = readable(self.store.root) + "/" + key
        return {
            "url": url,
            "url_sha1": hashlib.sha1(url.encode()).hexdigest(),
            "source": readable(self.store.root),
            "category": key.rpartition("/")[0] or None,
            "path": key,
        }

    def copy(self, row: dict, bench: Workbench, path: Path) -> str:
        return copy_original(row, bench, path)


class Crawl:
    """What the crawler stored: originals, and records that say whose they are."""

    def __init__(self, store: Store):
        self.store = store

    def listing(self) -> pa.Table:
        records = [
            table.append_column("file", pa.array([file] * len(table), pa.string()))
            .append_column("row", pa.array(range(len(table)), pa.int64()))
            .filter(pc.not_equal(table["status"], "failed"))
            for file, table in read_blocks(self.store, "records", ["url_sha1", "status", "path", "crawled_at"])
        ]
        met = pa.concat_tables(records).sort_by([("url_sha1", "ascending"), ("crawled_at", "ascending")])
        urls = met["url_sha1"].to_numpy()
        latest = met.filter(pa.array(np.append(urls[1:] != urls[:-1], True)[: len(urls)]))
        stored = latest.filter(pc.equal(latest["status"], "stored")).select(["path", "file", "row"])
        there = [{"path": e.key, "etag": e.etag, "size": e.size} for e in self.store.list("originals/")]
        originals = pa.Table.from_pylist(there, pa.schema([("path", pa.string()), *list(LISTING)[2:4]]))
        listed = stored.join(originals, "path").sort_by([("file", "ascending"), ("row", "ascending")])
        paths, etags = listed["path"], pc.fill_null(listed["etag"], "")
        columns = [paths, pc.cast(paths, pa.binary()), etags, *(listed[name] for name in LISTING.names[3:])]
        return pa.table(columns, schema=LISTING)

    def about(self, rows: list[dict]) -> list[dict]:
        names = [field.name for field in ABOUT]
        known: dict[tuple[str, int], dict] = {}
        for file in {row["file"] for row in rows}:
            wanted = sorted({row["row"] for row in rows if row["file"] == file})
            table = read_block(self.store, "records", file, names).take(pa.array(wanted))
            known |= {(file, number): about for number, about in zip(wanted, table.to_pylist(), strict=True)}
        return [known[row["file"], row["row"]] for row in rows]

    def copy(self, row: dict, bench: Workbench, path: Path) -> str:
        return copy_original(row, bench, path)


class Arrays:
    """Photographs as two NumPy files and more: ``gray_scale.npy`` (N, H, W) and ``ab*.npy`` (n, H, W, 2), 8-bit Lab.

    Lightness is scaled to 0..255, a and b are shifted by 128, as OpenCV does. The ab files follow one another in the
    order of their names; a photograph beyond their end has no color.
    """

    GRAY = "gray_scale.npy"

    def __init__(self, store: Store, gray: str):
        self.store, self.gray = store, gray
        self._arrays: tuple[np.ndarray, list[np.ndarray]] | None = None

    def __reduce__(self):
        return Arrays, (self.store, self.gray)

    def files(self) -> list[Entry]:
        """The file of lightness, then those of ab."""
        ab = [e for e in self.store.list() if re.fullmatch(r"ab\d*\.npy", e.key.rpartition("/")[2])]
        if not ab:
            raise SourceError(f"{self.store.uri(self.gray)} has no ab*.npy beside it, so there is no color")
        return [self.store.stat(self.gray), *sorted(ab, key=lambda e: (len(e.key), e.key))]

    def listing(self) -> pa.Table:
        files = self.files()
        gray, _ = self.open(None)
        version = hashlib.sha1(repr([(e.key, e.etag) for e in files]).encode()).hexdigest()
        count = len(gray)
        columns = {
            "key": [f"{self.gray}#{number}" for number in range(count)],
            "etag": [version] * count,
            "size": [3 * gray[0].size] * count,
            "row": range(count),
        }
        return pa.table([pa.array(columns.get(f.name, [None] * count), f.type) for f in LISTING], schema=LISTING)

    def open(self, bench: Workbench | None) -> tuple[np.ndarray, list[np.ndarray]]:
        """Both planes, mapped from disk; files of a bucket are copied here first. Raises SourceError."""
        if self._arrays is None:
            planes = []
            for entry in self.files():
                path = self._local(entry, bench)
                try:
                    planes.append(np.load(path, mmap_mode="r", allow_pickle=False))
                except (ValueError, OSError, EOFError) as error:
                    raise SourceError(f"{self.store.uri(entry.key)} is not a whole .npy file: {error}") from error
                dimensions = 4 if len(planes) > 1 else 3
                plane = planes[-1]
                if plane.dtype != np.uint8 or plane.ndim != dimensions or plane.shape[3:] not in ((), (2,)):
                    shape = "(n, height, width, 2)" if len(planes) > 1 else "(n, height, width)"
                    found = f"{plane.dtype} {plane.shape}"
                    raise SourceError(f"{self.store.uri(entry.key)} is {found}, not uint8 {shape}")
                if plane.shape[1:3] != planes[0].shape[1:3]:
                    raise SourceError(f"{self.store.uri(entry.key)} has pictures of another size than {self.gray}")
            if sum(map(len, planes[1:])) > len(planes[0]):
                raise SourceError(f"{self.store.uri(self.gray)} holds fewer photographs than the ab*.npy beside it")
            self._arrays = planes[0], planes[1:]
        return self._arrays

    def _local(self, entry: Entry, bench: Workbench | None) -> Path:
        if self.store.root.startswith("file://"):
            return Path(self.store.root.removeprefix("file://"), entry.key)
        path = (bench.scratch if bench else scratch()) / entry.key.replace("/", "-")
        self.store.fetch(entry, path)
        return path

    def about(self, rows: list[dict]) -> list[dict]:
        urls = [f"{readable(self.store.root)}/{row['key']}" for row in rows]
        return [
            {
                "url": url,
                "url_sha1": hashlib.sha1(url.encode()).hexdigest(),
                "source": readable(self.store.root),
                "path": row["key"],
            }
            for url, row in zip(urls, rows, strict=True)
        ]

    def copy(self, row: dict, bench: Workbench, path: Path) -> str:
        """The photograph as a PNG; the SHA-256 is that of its Lab codes."""
        gray, parts = self.open(bench)
        number = row["row"]
        codes = np.full((*gray.shape[1:], 3), 128, np.uint8)
        codes[..., 0] = gray[number]
        for part in parts:
            if 0 <= number < len(part):
                codes[..., 1:] = part[number]
            number -= len(part)
        lab = codes.astype(np.float32) * np.array(LAB_SCALE, np.float32) - np.array(LAB_SHIFT, np.float32)
        rgb = np.round(color.lab_to_srgb(lab) * 255).astype(np.uint8)
        path.write_bytes(cv2.imencode(".png", rgb[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())
        return hashlib.sha256(codes.tobytes()).hexdigest()


def copy_original(row: dict, bench: Workbench, path: Path) -> str:
    """Copy a file of the source to a local path; gives its SHA-256."""
    if os.fsdecode(row["name"]) != row["key"]:
        raise Rejected("bad_name", "the file's name is not valid UTF-8; rename it")
    if not row["etag"]:
        raise NotFound(f"{bench.work.source.uri(row['key'])}: the records name it and it is not there. Restore it.")
    return bench.copy(Entry(row["key"], row["size"], row["etag"]), path)
