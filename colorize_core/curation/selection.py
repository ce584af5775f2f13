"""Which of the examined photographs make the dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colorize_core.curation.dataset import DATASET, EXAMINED, EXAMINED_SCHEMA, FAILED, lot, read_blocks, split_of
from colorize_core.curation.twins import find_twins
from colorize_core.storage import Store

COLUMNS = ("key", "etag", "rules", "sha256", "width", "height", "dhash", "signature", "reason", "examined_at")
PLACE = [pa.field("file", pa.string()), pa.field("row", pa.int32())]
TWIN = "near_duplicate"


def examined(output: Store, listing: pa.Table, rules: str) -> pa.Table:
    """The examination of every photograph of a listing, without its thumbnail: ``COLUMNS``, and the file of
    ``examined/`` and the row in it. What has not been examined under these rules has no row.
    """
    wanted, tables = _identities(listing), []
    for name, table in read_blocks(output, EXAMINED, COLUMNS):
        table = table.append_column("file", pa.array([name] * len(table), pa.string()))
        table = table.append_column("row", pa.array(range(len(table)), pa.int32()))
        table = table.filter(pc.equal(table["rules"], rules))
        tables.append(table.filter(pc.is_in(_identities(table), wanted)))
    if not tables:
        return pa.schema([*(EXAMINED_SCHEMA.field(n) for n in COLUMNS), *PLACE]).empty_table()
    table = pa.concat_tables(tables)
    table = table.append_column("failed", pc.fill_null(pc.equal(table["reason"], FAILED), False))
    table = table.sort_by([("key", "ascending"), ("failed", "descending"), ("examined_at", "ascending")])
    keys = table["key"].to_numpy(zero_copy_only=False)
    return table.filter(pa.array(np.append(keys[1:] != keys[:-1], True)[: len(keys)])).drop_columns("failed")


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
        digests, places = self.table["sha256"].to_pylist(), zip(*self._places(), strict=True)
        drawn = [
            (lot(digest), place)
            for digest, place, kept in zip(digests, places, self.kept, strict=True)
            if kept and split_of(digest) == "train"
        ]
        return [place for _, place in sorted(drawn)[:size]]

    def by_file(self) -> Iterator[dict]:
        """For every file of ``examined/`` its rows that are kept, those that are dropped, and for these the SHA-256 of
        the photograph kept instead, or None."""
        digests = self.table["sha256"].to_pylist()
        files, rows = self._places()
        order = np.lexsort((rows, files))
        edges: np.ndarray | list = (
            np.flatnonzero(np.append(True, files[order][1:] != files[order][:-1])) if len(order) else []
        )
        for group in np.split(order, edges)[1:]:
            kept, dropped = group[self.kept[group]], group[~self.kept[group]]
            twins = [digests[twin] if twin >= 0 else None for twin in self.twin_of[dropped]]
            yield {
                "file": str(files[group[0]]),
                "kept": rows[kept].tolist(),
                "dropped": rows[dropped].tolist(),
                "twin_of": twins,
            }

    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        return self.table["file"].to_numpy(zero_copy_only=False).astype(str), self.table["row"].to_numpy()


def select(output: Store, table: pa.Table) -> Selection:
    """Leave out what examination found unfit, and of near duplicates all but one.

    Of photographs that nearly duplicate each other stays the one that is in the dataset already, else the one with
    the most pixels, else the one whose SHA-256 comes first: the order of names plays no part.
    """
    fit = np.flatnonzero(pc.is_null(table["reason"]).to_numpy(zero_copy_only=False))
    rows = table.take(pa.array(fit))
    before = [block["sha256"] for _, block in read_blocks(output, DATASET, ["sha256"])]
    known = pc.is_in(rows["sha256"], pa.chunked_array([c for b in before for c in b.chunks], pa.string()))
    pixels = pc.multiply(pc.cast(rows["width"], pa.int64()), pc.cast(rows["height"], pa.int64())).to_numpy()
    digests, keys = (rows[name].to_numpy(zero_copy_only=False).astype(str) for name in ("sha256", "key"))
    order = np.lexsort((keys, digests, -pixels, ~known.to_numpy(zero_copy_only=False)))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    signature = np.frombuffer(b"".join(rows["signature"].to_pylist()), np.uint8).reshape(-1, 192)
    twins = find_twins(rows["dhash"].to_numpy(), signature, rank)
    twin_of = np.full(len(table), -1)
    twin_of[fit] = np.where(twins >= 0, fit[twins] if len(fit) else twins, -1)
    kept = np.zeros(len(table), bool)
    kept[fit] = twins < 0
    return Selection(table, twin_of, kept)
