"""What every kind of storage promises, tried on each."""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
import uuid
from pathlib import Path

import pytest

from colorize_core import storage
from colorize_core.keys import TEMPORARY
from colorize_core.places import Entry
from colorize_core.storage import AccessDenied, Damaged, NotFound, SourceChanged, StorageError, Store


@pytest.fixture(params=["file", "memory", "moto_s3", pytest.param("radosgw", marks=pytest.mark.real_s3)])
def store(request, tmp_path, monkeypatch) -> Store:
    """A Store over an empty root of each kind."""
    if request.param == "file":
        return Store(str(tmp_path / "root" / "empty"))
    if request.param == "memory":
        return Store(f"memory://{uuid.uuid4()}/sub")
    server = request.getfixturevalue(request.param)
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return Store(server.make_bucket(f"b-{uuid.uuid4()}") + "/some/prefix/")


@pytest.fixture
def ready(store) -> Store:
    store.check(write=True)
    return store


def test_what_is_put_comes_back(ready, tmp_path):
    body = os.urandom(3 << 20)
    (tmp_path / "local").write_bytes(body)
    ready.put("a/big one é+%41.tif", tmp_path / "local", "image/tiff")
    ready.put("empty", b"")
    entries = {entry.key: entry for entry in ready.list()}
    assert set(entries) == {"a/big one é+%41.tif", "empty"}
    big = entries["a/big one é+%41.tif"]
    assert big.size == len(body)
    assert big == ready.stat(big.key)
    assert ready.fetch(big, tmp_path / "copy") == hashlib.sha256(body).hexdigest()
    assert (tmp_path / "copy").read_bytes() == body
    assert ready.read(big.key) == body
    assert ready.fetch(entries["empty"], tmp_path / "copy") == hashlib.sha256().hexdigest()
    assert (tmp_path / "copy").read_bytes() == ready.read("empty") == b""


def test_put_replaces_and_the_version_tells(ready, tmp_path):
    ready.put("photo", b"first")
    entry = ready.stat("photo")
    ready.put("photo", b"other")
    assert ready.read("photo") == b"other"
    assert ready.stat("photo").etag != entry.etag
    with pytest.raises(SourceChanged, match="photo"):
        ready.fetch(entry, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_what_is_deleted_is_gone_and_nothing_else(ready):
    ready.put("notes/a", b"1")
    ready.put("notes/ab", b"2")
    ready.delete("notes/a")
    assert not ready.exists("notes/a") and ready.read("notes/ab") == b"2"


def test_a_prefix_is_the_beginning_of_a_key(ready):
    keys = {"records/run=1/a", "records/run=2/b", "records-old", "photos/x"}
    for key in keys:
        ready.put(key, b"1")
    for prefix in ("", "records", "records/", "records/run=1", "records/run=1/a", "re", "none", "none/x"):
        assert {entry.key for entry in ready.list(prefix)} == {key for key in keys if key.startswith(prefix)}


def test_nothing_there(ready, tmp_path):
    assert list(ready.list()) == []
    assert not ready.exists("x")
    for call in (ready.read, ready.stat):
        with pytest.raises(NotFound, match="some/x|x"):
            call("some/x")
    with pytest.raises(NotFound):
        ready.fetch(Entry("x", 1, "1-1"), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_unfinished_names_are_never_listed(ready):
    ready.put(f"a/{TEMPORARY}x", b"1")
    ready.put("a/.hidden", b"1")
    assert [entry.key for entry in ready.list()] == ["a/.hidden"]


def test_check_leaves_nothing_behind(ready):
    ready.check(write=True)
    assert list(ready.list()) == []
    assert not ready.exists(TEMPORARY + "probe")


@pytest.mark.parametrize("key", ["", "/etc/x", "../x", "a/../../x", "a/..", "a\0b", "a\\..\\b", "a//b", "./a", "a/"])
def test_put_refuses_what_is_not_a_plain_relative_path(store, key):
    with pytest.raises(ValueError):
        store.put(key, b"1")


def test_a_store_travels(ready):
    ready.put("x", b"1")
    there = pickle.loads(pickle.dumps(ready))
    assert (there.root, there.attempts, there.timeout) == (ready.root, ready.attempts, ready.timeout)
    assert there.uri("x") == f"{ready.root}/x"
    assert there.read("x") == b"1"


def test_the_root_leads_back_to_the_store(ready):
    ready.put("a b/c", b"1")
    again = Store(ready.root)
    assert again.root == ready.root and not again.root.endswith("/")
    assert again.read("a b/c") == b"1"


def test_threads_share_a_store(ready, tmp_path):
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                key, body = f"{number}/{turn}", os.urandom(100_000)
                ready.put(key, body)
                ready.fetch(ready.stat(key), tmp_path / str(number))
                assert (tmp_path / str(number)).read_bytes() == body
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert sum(1 for _ in ready.list()) == 40


def test_nothing_secret_is_shown_or_sent(moto_s3, monkeypatch):
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    store = Store(moto_s3.make_bucket(f"b-{uuid.uuid4()}"))
    store.put("x", b"1")
    for secret in (moto_s3.env["AWS_SECRET_ACCESS_KEY"], moto_s3.env["AWS_ACCESS_KEY_ID"]):
        assert secret not in repr(store) + repr(vars(store)) and secret.encode() not in pickle.dumps(store)


@pytest.mark.parametrize("uri", ["ftp://x/y", "s3://", "s3:///x", "memory://"])
def test_addresses_that_make_no_sense(uri):
    with pytest.raises(ValueError, match=uri):
        Store(uri)


def test_credentials_in_an_address_are_refused_and_not_repeated():
    with pytest.raises(ValueError) as caught:
        Store("s3://key:hush@bucket/x")
    assert "hush" not in str(caught.value)


def test_relative_paths_and_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store("x").root == Store("~/x/").root == Store(f"file://{tmp_path}/x/").root == f"file://{tmp_path}/x"


def test_gs_without_its_library_says_what_to_install():
    pytest.importorskip("fsspec")
    try:
        import gcsfs  # noqa: F401
    except ImportError:
        with pytest.raises(StorageError, match="install gcsfs"):
            Store("gs://bucket/x").check()
    else:
        pytest.skip("gcsfs is installed")


def test_errors_survive_the_way_back_from_a_worker():
    for error in (Damaged("x"), NotFound("x"), AccessDenied("x"), StorageError("x", retryable=True)):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.retryable) == (type(error), "x", error.retryable)


def test_passing_trouble_is_tried_again_and_a_programming_error_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "BACKOFF", 0.001)
    store = Store(str(tmp_path), attempts=3)
    calls: list[type[BaseException]] = []

    def fail(error: BaseException):
        calls.append(type(error))
        raise error

    for error, expected, times in [
        (ConnectionResetError("x"), StorageError, 3),
        (OSError(5, "Input/output error"), StorageError, 3),
        (OSError(28, "No space left on device"), StorageError, 1),
        (TypeError("x"), TypeError, 1),
    ]:
        calls.clear()
        with pytest.raises(expected):
            store._attempt("here", lambda error=error: fail(error))
        assert len(calls) == times


def test_a_missing_local_source_is_the_callers_mistake(ready):
    with pytest.raises(FileNotFoundError):
        ready.put("x", Path("/does/not/exist"))
