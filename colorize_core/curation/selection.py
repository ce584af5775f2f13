"""Which of the examined photographs make the dataset."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colorize_core.curation.dataset import DATASET, EXAMINED, EXAMINED_SCHEMA, FAILED, lot, read_blocks, split_of
from colorize_core.curation.twins import find_twins
from colorize_core.storage import Store

FACTS = ("key", "etag", "sha256", "width", "height", "dhash", "signature", "reason")
PLACE = [pa.field("file", pa.string()), pa.field("row", pa.int32())]
SCHEMA = pa.schema([*(EXAMINED_SCHEMA.field(name) for name in (*FACTS, "rules", "examined_at")), *PLACE])
TWIN = "near_duplicate"


def examined(output: Store, listing: pa.Table, rules: str) -> pa.Table:
    """The examination of every photograph of a listing, without its thumbnail: ``FACTS``, and the file of ``examined/``
    and the row in it, in that order. What has not been examined under these rules has no row.
    """
    tables = [SCHEMA.empty_table()]
    for name, table in read_blocks(output, EXAMINED, [*FACTS, "rules", "examined_at"]):
        columns = [table[field.name] for field in SCHEMA if field.name not in ("file", "row")]
        place = pa.array([name] * len(table), pa.string()), pa.array(range(len(table)), pa.int32())
        tables.append(pa.table([*columns, *place], schema=SCHEMA).filter(pc.equal(table["rules"], rules)))
    table = pa.concat_tables(tables).drop_columns("rules")
    table = table.filter(pc.is_in(_identities(table), _identities(listing)))
    return table.filter(pa.array(_latest(table))).drop_columns("examined_at")


def _latest(table: pa.Table) -> np.ndarray:
    """Which rows are the last of their photograph; what storage failed to give comes before everything."""
    keys = table["key"]
    if pc.count_distinct(keys).as_py() == len(keys):
        return np.ones(len(keys), bool)
    failed = pc.fill_null(pc.equal(table["reason"], FAILED), False)
    by = pa.table({"key": keys, "failed": failed, "examined_at": table["examined_at"]})
    order = pc.sort_indices(by, [("key", "ascending"), ("failed", "descending"), ("examined_at", "ascending")])
    codes = keys.combine_chunks().dictionary_encode().indices.to_numpy()[order.to_numpy()]
    last = np.zeros(len(keys), bool)
    last[order.to_numpy()[np.append(codes[1:] != codes[:-1], True)]] = True
    return last


def unexamined(listing: pa.Table, table: pa.Table) -> pa.Table:
    """The rows of a listing that have no examination, or one that failed for want of storage."""
    done = table.filter(pc.fill_null(pc.not_equal(table["reason"], FAILED), True))
    return listing.filter(pc.invert(pc.is_in(_identities(listing), _identities(done))))


def _identities(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["key"], table["etag"], "\n")


@dataclass
class Selection:
    """What becomes of every examined photograph.

    table: the rows of ``examined``. twin_of: for each the row kept in its place, or -1. kept: for each whether it is
    part of the dataset.
    """

    table: pa.Table
    twin_of: np.ndarray
    kept: np.ndarray

    def reasons(self) -> Counter[str]:
        """How many photographs are dropped, by reason."""
        counts = Counter(reason for reason in self.table["reason"].to_pylist() if reason)
        if twins := int((self.twin_of >= 0).sum()):
            counts[TWIN] = twins
        return counts

    def sample(self, size: int) -> list[tuple[str, int]]:
        """The (file, row) of some of the photographs to train on, drawn by lot of their content."""
        digests, files, rows = self.table["sha256"], self._files(), self.table["row"]
        drawn = (
            (lot(digest), n)
            for n, digest in enumerate(digests.to_pylist())
            if self.kept[n] and split_of(digest) == "train"
        )
        return [(files[n].as_py(), rows[n].as_py()) for _, n in heapq.nsmallest(size, drawn)]

    def by_file(self) -> Iterator[dict]:
        """For every file of ``examined/`` its rows that are kept, those that are dropped, and for these the SHA-256 of
        the photograph kept instead, or None."""
        files, rows, digests = self._files(), self.table["row"].to_numpy(), self.table["sha256"]
        edges = np.flatnonzero(files.indices.to_numpy()[1:] != files.indices.to_numpy()[:-1]) + 1
        for group in np.split(np.arange(len(rows)), edges) if len(rows) else ():
            kept, dropped = group[self.kept[group]], group[~self.kept[group]]
            yield {
                "file": files[int(group[0])].as_py(),
                "kept": rows[kept].tolist(),
                "dropped": rows[dropped].tolist(),
                "twin_of": [digests[int(n)].as_py() if n >= 0 else None for n in self.twin_of[dropped]],
            }

    def _files(self) -> pa.DictionaryArray:
        return self.table["file"].combine_chunks().dictionary_encode()


def select(output: Store, table: pa.Table) -> Selection:
    """Leave out what examination found unfit, and of near duplicates all but one.

    Of photographs that nearly duplicate each other stays the one that is in the dataset already, else the one with
    the most pixels, else the one whose SHA-256 comes first: the order of names plays no part.
    """
    fit = np.flatnonzero(pc.is_null(table["reason"]).to_numpy(zero_copy_only=False))
    rows = table.take(pa.array(fit))
    before = [block["sha256"] for _, block in read_blocks(output, DATASET, ["sha256"])]
    known = pc.is_in(rows["sha256"], pa.chunked_array([c for b in before for c in b.chunks], pa.string()))
    pixels = pc.multiply(pc.cast(rows["width"], pa.int64()), rows["height"])
    by = pa.table({"known": known, "pixels": pixels, "sha256": rows["sha256"], "key": rows["key"]})
    first = [("known", "descending"), ("pixels", "descending"), ("sha256", "ascending"), ("key", "ascending")]
    rank = np.empty(len(fit), np.int64)
    rank[pc.sort_indices(by, first).to_numpy()] = np.arange(len(fit))
    twins = find_twins(rows["dhash"].to_numpy(), _bytes(rows["signature"]), rank)
    twin_of = np.full(len(table), -1)
    twin_of[fit] = np.where(twins >= 0, fit[twins] if len(fit) else twins, -1)
    kept = np.zeros(len(table), bool)
    kept[fit] = twins < 0
    return Selection(table, twin_of, kept)


def _bytes(column: pa.ChunkedArray) -> np.ndarray:
    """A column of byte strings of one length, none of them null, as uint8 (n, length)."""
    array = column.combine_chunks()
    width = array.type.byte_width
    return np.frombuffer(array.buffers()[1], np.uint8)[array.offset * width :].reshape(-1, width)[: len(array)]
