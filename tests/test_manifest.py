"""Inventories: Parquet and CSV, with and without sizes and versions."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from colorize_core.manifest import ManifestError, read_manifest
from colorize_core.storage import Entry, Store


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    for name in ("a.jpg", "b.tif", "box 1/c.png", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return Store(str(folder))


def test_manifests(source, tmp_path):
    wanted = {e.key: e for e in source.list() if e.key != "notes.txt"}
    csv = tmp_path / "inventory.csv"
    csv.write_text("Key\na.jpg\nbox 1/c.png\n" + source.uri("b.tif") + "\n")
    assert {e.key: e for e in read_manifest(str(csv), source)} == wanted
    parquet = tmp_path / "inventory.parquet"
    columns = {
        "key": list(wanted),
        "size": [e.size for e in wanted.values()],
        "e_tag": [f'"{e.etag}"' for e in wanted.values()],
    }
    pq.write_table(pa.table(columns), parquet)
    assert {e.key: e for e in read_manifest(str(parquet), source)} == wanted


def test_the_names_of_a_manifest_stay_as_they_are(source, tmp_path):
    rows = [f"{i:04},{i},{i:032}" for i in range(20_000)] + ["box 1/a.jpg,7,d41d8cd98f00b204e9800998ecf8427e"]
    (tmp_path / "m.csv").write_text("key,size,etag\n" + "\n".join(rows) + "\n")
    entries = list(read_manifest(str(tmp_path / "m.csv"), source))
    assert entries[12] == Entry("0012", 12, f"{12:032}")
    assert entries[-1] == Entry("box 1/a.jpg", 7, "d41d8cd98f00b204e9800998ecf8427e")


def test_what_a_manifest_leaves_out_is_asked_of_the_store(source, tmp_path):
    (tmp_path / "m.csv").write_text("key,size,etag\na.jpg,,\nb.tif,1,e\ngone.jpg,,\n")
    found = list(read_manifest(str(tmp_path / "m.csv"), source))
    assert found == [source.stat("a.jpg"), source.stat("b.tif"), Entry("gone.jpg", 0, "")]


def test_a_manifest_without_keys_is_named(source, tmp_path):
    (tmp_path / "m.csv").write_text("file,bytes\na.jpg,5\n")
    with pytest.raises(ManifestError, match="no column named key"):
        list(read_manifest(str(tmp_path / "m.csv"), source))
    (tmp_path / "m.csv").write_bytes(b"PAR1 but not really")
    with pytest.raises(ManifestError, match="neither Parquet nor CSV"):
        list(read_manifest(str(tmp_path / "m.csv"), source))
