"""The sample of photos that the page shows: the least sure, a random draw, the most colorful."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colorize_core.records import Status

MAX_PIXELS = 150_000_000  # larger pictures are left out of the page: hundreds of megabytes for a thumbnail


def choose(photos: pa.Table, count: int) -> dict[str, list[dict]]:
    """At most ``count`` colored photos as rows: ``all`` where they fit, else ``unsure``, ``drawn`` and ``colorful``.

    The choice depends on the records alone: the same folder gives the same page. A third of the places goes to each
    of the three groups, what is left over to the draw, and no photo is in two of them. The least sure come first in
    ``all`` and ``unsure``.
    """
    shown = photos.filter(
        pc.and_(
            pc.equal(photos["status"], Status.COLORIZED.value),
            pc.and_(pc.is_valid(photos["output_key"]), pc.less_equal(pc.fill_null(pixels(photos), 0), MAX_PIXELS)),
        )
    )
    if shown.num_rows <= count:
        by_doubt = [("uncertainty", "descending"), ("key", "ascending"), ("page", "ascending")]
        return {"all": shown.sort_by(by_doubt).to_pylist()}
    identities = zip(shown["key"].to_pylist(), shown["page"].to_pylist(), strict=True)
    lots = np.array([_lot(key, page) for key, page in identities], dtype=np.uint64)
    by_lot = np.argsort(lots, kind="stable")
    share = count // 3
    taken: set[int] = set()
    drawn = _take(by_lot, count - 2 * share, taken)
    colorful = _take(_descending(shown["colorfulness"], lots), share, taken)
    unsure = _take(_descending(shown["uncertainty"], lots), share, taken)
    drawn += _take(by_lot, count - len(taken), taken)
    groups = {"unsure": unsure, "drawn": drawn, "colorful": colorful}
    return {name: shown.take(pa.array(rows, pa.int64())).to_pylist() for name, rows in groups.items()}


def pixels(photos: pa.Table) -> pa.ChunkedArray:
    """Pixels of each photo; null where the size is not known."""
    return pc.multiply(photos["width"].cast(pa.int64()), photos["height"].cast(pa.int64()))


def _lot(key: str, page: int) -> int:
    return int.from_bytes(hashlib.sha1(f"{page} {key}".encode()).digest()[:8], "big")


def _descending(column: pa.ChunkedArray, lots: np.ndarray) -> np.ndarray:
    """Rows that have a value, the largest first; the lot decides between equals."""
    values = column.to_numpy(zero_copy_only=False).astype(float)
    order = np.lexsort((lots, -values))
    return order[np.isfinite(values[order])]


def _take(order: np.ndarray, count: int, taken: set[int]) -> list[int]:
    rows: list[int] = []
    for row in order:
        if len(rows) >= count:
            break
        if row not in taken:
            taken.add(int(row))
            rows.append(int(row))
    return rows
