from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from colorize_core.storage import Damaged, Store
from crawler.items import SCHEMA
from crawler.ledger import Ledger


def write(folder, run: str, *rows: tuple[str, str]) -> None:
    """Rows of (address, status)."""
    path = folder / f"records/run={run}/000001.parquet"
    path.parent.mkdir(parents=True)
    table = [
        {"url": url, "page_url": "p", "source": "s", "url_sha1": sha1(url).hex(), "status": status, "run": run,
         "crawled_at": datetime.now(UTC), "sha256": sha256(url).hex(), "path": f"originals/{sha1(url).hex()}.jpg"}
        for url, status in rows
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(table, SCHEMA), path)


def sha1(url: str) -> bytes:
    return hashlib.sha1(url.encode()).digest()


def sha256(url: str) -> bytes:
    return hashlib.sha256(url.encode()).digest()


def test_what_is_known(tmp_path):
    write(tmp_path, "1", ("a", "failed"), ("b", "stored"), ("c", "metadata_only"), ("d", "failed"), ("e", "stored"))
    write(tmp_path, "2", ("a", "stored"), ("b", "failed"), ("c", "rejected"), ("e", "metadata_only"))
    ledger = Ledger(Store(str(tmp_path)))
    assert ledger.known == {sha1("a"): "stored", sha1("b"): "stored", sha1("c"): "rejected", sha1("e"): "stored"}
    assert ledger.paths == {sha256(url): f"originals/{sha1(url).hex()}.jpg" for url in "abe"}


def test_originals_without_a_record(tmp_path):
    write(tmp_path, "1", ("a", "stored"), ("b", "failed"))
    (tmp_path / "originals").mkdir()
    for name in (sha1("a").hex(), sha1("b").hex(), sha1("z").hex(), "notes", "abcd"):
        (tmp_path / f"originals/{name}.jpg").write_bytes(b"x")
    (tmp_path / f"originals/{sha1('y').hex()}").write_bytes(b"x")
    assert set(Ledger(Store(str(tmp_path))).unrecorded) == {sha1("b"), sha1("y"), sha1("z")}


@pytest.mark.parametrize("damage", [b"", b"PAR1 nothing else PAR1"])
def test_damaged_records_are_named(tmp_path, damage):
    write(tmp_path, "1", ("a", "stored"))
    (tmp_path / "records/run=1/000001.parquet").write_bytes(damage)
    with pytest.raises(Damaged, match="run=1/000001.parquet is not a readable file of records"):
        Ledger(Store(str(tmp_path)))


def test_other_files_are_not_records(tmp_path):
    write(tmp_path, "1", ("a", "stored"))
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "records/run=1/other.parquet")
    with pytest.raises(Damaged, match="other.parquet"):
        Ledger(Store(str(tmp_path)))
