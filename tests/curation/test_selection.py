from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from colorize_core.curation.dataset import (
    DATASET,
    DROPPED,
    EXAMINED,
    EXAMINED_SCHEMA,
    FAILED,
    SCHEMA,
    blocks,
    lot,
    prune,
    split_of,
    write_block,
)
from colorize_core.curation.selection import examined, select, unexamined
from colorize_core.curation.sources import LISTING
from colorize_core.storage import Damaged, Store

RULES = "rules"


def digest(number: int) -> str:
    import hashlib

    return hashlib.sha256(str(number).encode()).hexdigest()


def row(number: int, look: int | None = None, *, size: int = 100, hour: int = 0, **more) -> dict:
    """An examined photograph; those with the same ``look`` look the same."""
    rng = np.random.default_rng(number if look is None else look)
    return {
        "key": f"{number}.jpg", "etag": "v1", "rules": RULES, "sha256": digest(number), "width": size, "height": size,
        "dhash": int(rng.integers(0, 2**63)), "signature": rng.integers(0, 255, 192, np.uint8).tobytes(),
        "examined_at": datetime(2026, 1, 1, hour, tzinfo=UTC),
    } | more  # fmt: skip


def put(store: Store, name: str, rows: list[dict]) -> None:
    write_block(store, EXAMINED, f"{name}.parquet", pa.Table.from_pylist(rows, EXAMINED_SCHEMA))


def listing(*keys: str, etag: str = "v1") -> pa.Table:
    return pa.Table.from_pylist([{"key": key, "etag": etag, "size": 1} for key in keys], LISTING)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path))


def test_only_what_is_listed_at_its_version_under_the_same_rules_counts(store):
    old, other = row(1, etag="v0"), row(2, rules="other rules")
    put(store, "a", [old, other, row(3), row(4)])
    wanted = listing("1.jpg", "2.jpg", "3.jpg")
    known = examined(store, wanted, RULES)
    assert known["key"].to_pylist() == ["3.jpg"]
    assert unexamined(wanted, known)["key"].to_pylist() == ["1.jpg", "2.jpg"]


def test_nothing_examined_yet(store):
    known = examined(store, listing("1.jpg"), RULES)
    assert len(known) == 0
    assert len(unexamined(listing("1.jpg"), known)) == 1


def test_what_storage_failed_to_give_is_examined_again_and_then_counts_once(store):
    put(store, "a", [row(1, reason=FAILED, hour=5)])
    wanted = listing("1.jpg")
    known = examined(store, wanted, RULES)
    assert unexamined(wanted, known)["key"].to_pylist() == ["1.jpg"]
    put(store, "b", [row(1, hour=3)])
    known = examined(store, wanted, RULES)
    assert known["reason"].to_pylist() == [None]
    assert len(unexamined(wanted, known)) == 0


def test_of_near_duplicates_the_largest_stays_whatever_the_names(store):
    put(store, "a", [row(1, 7, size=100), row(2, 7, size=300), row(3, 7, size=200), row(4)])
    selection = select(store, examined(store, listing(*(f"{n}.jpg" for n in range(1, 5))), RULES))
    assert selection.kept.tolist() == [False, True, False, True]
    assert selection.twin_of.tolist() == [1, -1, 1, -1]
    assert selection.reasons() == Counter(near_duplicate=2)
    (work,) = selection.by_file()
    assert (work["kept"], work["dropped"], work["twin_of"]) == ([1, 3], [0, 2], [digest(2)] * 2)


def test_a_photograph_of_the_dataset_is_not_replaced_by_a_larger_newcomer(store):
    put(store, "a", [row(1, 7, size=100), row(2, 7, size=300)])
    wanted = listing("1.jpg", "2.jpg")
    assert select(store, examined(store, wanted, RULES)).kept.tolist() == [False, True]
    kept = pa.Table.from_pylist([{"sha256": digest(1)}], SCHEMA)
    write_block(store, DATASET, "a.parquet", kept)
    assert select(store, examined(store, wanted, RULES)).kept.tolist() == [True, False]


def test_an_unfit_photograph_is_nobodys_twin(store):
    put(store, "a", [row(1, 7, reason="bordered", size=500), row(2, 7)])
    selection = select(store, examined(store, listing("1.jpg", "2.jpg"), RULES))
    assert selection.kept.tolist() == [False, True]
    assert selection.reasons() == Counter(bordered=1)


def test_every_row_is_kept_or_dropped_once(store):
    put(store, "a", [row(n, n // 2) for n in range(40)])
    put(store, "b", [row(n, reason="tiny") for n in range(40, 60)])
    selection = select(store, examined(store, listing(*(f"{n}.jpg" for n in range(60))), RULES))
    parts = list(selection.by_file())
    assert [part["file"] for part in parts] == ["a.parquet", "b.parquet"]
    assert sorted(parts[0]["kept"] + parts[0]["dropped"]) == list(range(40))
    assert len(parts[0]["kept"]) == 20
    assert sorted(parts[1]["dropped"]) == list(range(20)) and parts[1]["twin_of"] == [None] * 20


def test_a_sample_is_drawn_by_content_from_the_train_split(store):
    put(store, "a", [row(n) for n in range(300)])
    put(store, "b", [row(n, key=f"moved/{n}.jpg") for n in range(300)])
    first = select(store, examined(store, listing(*(f"{n}.jpg" for n in range(300))), RULES))
    second = select(store, examined(store, listing(*(f"moved/{n}.jpg" for n in range(300))), RULES))
    drawn = [{p.table["sha256"].to_pylist()[n] for n in _rows(p, p.sample(50))} for p in (first, second)]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 50
    assert {split_of(d) for d in drawn[0]} == {"train"}


def _rows(selection, places) -> list[int]:
    at = zip(selection.table["file"].to_pylist(), selection.table["row"].to_pylist(), strict=True)
    position = {place: n for n, place in enumerate(at)}
    return [position[place] for place in places]


def test_splits_have_their_shares_and_do_not_depend_on_the_lot():
    splits = [split_of(digest(n)) for n in range(20_000)]
    counts = Counter(splits)
    assert abs(counts["test"] / 20_000 - 0.05) < 0.006 and abs(counts["val"] / 20_000 - 0.05) < 0.006
    first = sorted(range(20_000), key=lambda n: lot(digest(n)))[:4_000]
    assert abs(sum(splits[n] == "train" for n in first) / 4_000 - 0.9) < 0.02


def test_files_whose_photographs_are_gone_leave_the_dataset(store):
    for folder in (DATASET, DROPPED):
        for name in ("a.parquet", "b.parquet"):
            write_block(store, folder, name, SCHEMA.empty_table())
    put(store, "b", [row(1)])
    prune(store, ["a.parquet"])
    assert [blocks(store, folder) for folder in (DATASET, DROPPED, EXAMINED)] == [
        ["a.parquet"],
        ["a.parquet"],
        ["b.parquet"],
    ]


def test_a_damaged_file_is_named(store):
    store.put(f"{EXAMINED}/a.parquet", b"PAR1 not really PAR1")
    with pytest.raises(Damaged, match=r"examined/a\.parquet .*delete it"):
        examined(store, listing("1.jpg"), RULES)
