"""The ledger on real Parquet files in a folder."""

from __future__ import annotations

import time
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from outputs import BEGAN, HOSTILE_KEYS, record, table, write_records

from colorize_core.ledger import current, latest, read_records
from colorize_core.records import SCHEMA
from colorize_core.storage import Damaged, Store


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def put(store: Store, rows: pa.Table, name: str = "part") -> str:
    out = pa.BufferOutputStream()
    pq.write_table(rows, out)
    key = f"records/run=r1/{name}.parquet"
    store.put(key, out.getvalue().to_pybytes())
    return key


def later(minutes: int):
    return BEGAN + timedelta(minutes=minutes)


def statuses(rows: pa.Table) -> dict[str, str]:
    return dict(zip(rows["key"].to_pylist(), rows["status"].to_pylist(), strict=True))


def test_every_row_of_every_file_is_read(store):
    write_records(store, [record(key) for key in HOSTILE_KEYS], "a")
    write_records(store, [record("b.jpg", run="r2")], "a")
    store.put("records/run=r1/notes.txt", b"not a record")
    rows = read_records(store)
    assert rows.schema.equals(SCHEMA)
    assert rows["key"].to_pylist() == [*HOSTILE_KEYS, "b.jpg"]
    assert read_records(store, ["key", "status"]).column_names == ["key", "status"]


def test_an_empty_folder_has_an_empty_ledger(store, tmp_path):
    rows = read_records(store)
    assert rows.num_rows == 0 and rows.schema.equals(SCHEMA)
    assert latest(rows).num_rows == current(rows).num_rows == 0


def test_unknown_columns_are_dropped_and_missing_ones_are_null(store):
    rows = table([record("a.jpg", width=3)]).append_column("mood", pa.array(["sunny"]))
    put(store, rows.drop_columns(["width", "host"]))
    read = read_records(store)
    assert read.schema.equals(SCHEMA)
    assert read["width"].to_pylist() == [None] and read["host"].to_pylist() == [None]


def test_other_spellings_of_the_types_are_understood(store):
    """All-null columns, dictionaries, large strings and finer timestamps are what writers make of the schema."""
    rows = table([record("a.jpg")])
    others = {
        "tone": pa.nulls(1),
        "status": rows["status"].dictionary_encode(),
        "key": rows["key"].cast(pa.large_string()),
        "page": rows["page"].cast(pa.int64()),
        "finished_at": rows["finished_at"].cast(pa.timestamp("us", tz="UTC")),
    }
    for name, column in others.items():
        rows = rows.set_column(rows.column_names.index(name), name, column)
    put(store, rows)
    assert read_records(store).to_pylist() == table([record("a.jpg")]).to_pylist()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "not parquet", "no key"])
def test_a_damaged_file_is_named(store, damage, monkeypatch):
    monkeypatch.setattr("colorize_core.ledger.SETTLE_SECONDS", 0)
    key = put(store, table([record(f"{i}.jpg") for i in range(100)]), "good")
    data = bytearray(store.read(key))
    if damage == "no key":
        key = put(store, table([record("a.jpg")]).drop_columns(["key"]), "bad")
    else:
        data[-40] ^= 0xFF  # inside the footer
        contents = {"cut": data[: len(data) // 2], "flipped": data, "empty": b"", "not parquet": b"<html>" * 50}
        key = "records/run=r1/bad.parquet"
        store.put(key, bytes(contents[damage]))
    with pytest.raises(Damaged, match="records/run=r1/bad.parquet"):
        read_records(store)


def test_a_flipped_bit_in_the_data_is_noticed(store, monkeypatch):
    monkeypatch.setattr("colorize_core.ledger.SETTLE_SECONDS", 0)
    out = pa.BufferOutputStream()
    rows = table([record(f"{i * 7919:08}.jpg") for i in range(1000)])
    pq.write_table(rows, out, write_page_checksum=True, compression="none", use_dictionary=False)
    data = bytearray(out.getvalue().to_pybytes())
    data[data.index(b"00007919.jpg")] ^= 0x04
    store.put("records/run=r1/bad.parquet", bytes(data))
    with pytest.raises(Damaged, match=r"bad\.parquet.*CRC"):
        read_records(store)


def test_a_file_still_being_written_is_looked_at_again(store, monkeypatch):
    key = put(store, table([record("a.jpg")]))
    whole = store.read(key)
    store.put(key, whole[:200])
    monkeypatch.setattr("colorize_core.ledger.time.sleep", lambda seconds: store.put(key, whole))
    assert read_records(store).num_rows == 1


def test_the_latest_row_of_each_version_and_recipe_wins():
    rows = table(
        [
            record("a", status="failed", finished_at=later(1)),
            record("a", status="colorized", finished_at=later(2)),
            record("a", status="rejected", finished_at=later(0)),
            record("a", source_etag="new", status="failed", finished_at=later(0)),
            record("a", recipe="other", status="rejected", finished_at=later(0)),
            record("a", page=1, status="rejected", finished_at=later(0)),
            record("b", status="failed", finished_at=None),
            record("b", status="colorized", finished_at=later(0)),
            record("c", status="failed", attempt=None),
            record("c", status="colorized", attempt=2),
            record("c", status="failed", attempt=1),
            record("d", status="failed"),
            record("d", status="colorized"),
        ]
    )
    rows = pa.concat_tables([rows.slice(i, 1) for i in range(rows.num_rows)])  # a chunk for every row
    found = latest(rows)
    identities = zip(*(found[name].to_pylist() for name in ("key", "page", "source_etag", "recipe")), strict=True)
    assert dict(zip(identities, found["status"].to_pylist(), strict=True)) == {
        ("a", 0, "100000-1", "r" * 16): "colorized",
        ("a", 0, "new", "r" * 16): "failed",
        ("a", 0, "100000-1", "other"): "rejected",
        ("a", 1, "100000-1", "r" * 16): "rejected",
        ("b", 0, "100000-1", "r" * 16): "colorized",
        ("c", 0, "100000-1", "r" * 16): "colorized",
        ("d", 0, "100000-1", "r" * 16): "colorized",
    }


def test_current_is_the_last_word_over_all_versions_and_recipes():
    rows = table(
        [
            record("a", source_etag="new", status="failed", finished_at=later(5)),
            record("a", status="colorized", finished_at=later(2)),
            record("b", recipe="old", finished_at=later(1)),
            record("b", recipe="new", status="rejected", finished_at=later(2)),
        ]
    )
    assert statuses(current(rows)) == {"a": "failed", "b": "rejected"}


def test_a_million_rows_take_seconds():
    n = 1_000_000
    numbers = np.random.default_rng(0).integers(0, n // 2, n)
    keys = pa.array(np.char.add("box/sheet-", numbers.astype(str)))
    constant = {"page": 0, "source_etag": "e", "recipe": "r", "attempt": 1, "status": "colorized"}
    columns = {name: pa.repeat(pa.scalar(v, SCHEMA.field(name).type), n) for name, v in constant.items()}
    finished = pa.array(np.arange(n), pa.int64()).cast(pa.timestamp("ms", tz="UTC"))
    rows = pa.table({"key": keys, "finished_at": finished, **columns})
    began = time.process_time()
    found = latest(rows)
    assert time.process_time() - began < 20
    last = {number: i for i, number in enumerate(numbers.tolist())}
    assert found["finished_at"].cast(pa.int64()).to_pylist() == sorted(last.values())
