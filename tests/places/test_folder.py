from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from colorize_core.keys import TEMPORARY
from colorize_core.places import Changed
from colorize_core.storage import AccessDenied, NotFound, SourceChanged, StorageError, Store

ROOT = os.geteuid() == 0


def keys(store: Store) -> set[str]:
    return {entry.key for entry in store.list()}


def test_links_to_files_are_listed_and_links_to_folders_are_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tif").write_bytes(b"1")
    (tmp_path / "link.tif").symlink_to(tmp_path / "in" / "a.tif")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    store = Store(str(tmp_path))
    assert keys(store) == {"in/a.tif", "link.tif"}
    assert store.read("link.tif") == b"1"


def test_odd_names_come_back_exactly(tmp_path):
    names = {"a b", "é", "e\u0301", "50%20", "a+b", "q?x#y", "tab\tx", "new\nline", "back\\slash", ".hidden", "..."}
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    store = Store(str(tmp_path))
    assert keys(store) == names
    for entry in store.list():
        assert store.read(entry.key) == entry.key.encode()


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../../x", "", "a\0b"])
def test_keys_that_leave_the_root_are_refused(tmp_path, key):
    store = Store(str(tmp_path))
    for call in (store.uri, store.read, store.stat):
        with pytest.raises(ValueError):
            call(key)


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    source = tmp_path / "in" / "photo"
    source.parent.mkdir()
    source.write_bytes(bytes(100))
    store = Store(str(source.parent))
    entry = store.stat("photo")
    chunks = store._place.chunks("photo", entry)
    next(chunks)
    source.write_bytes(bytes(200))
    with pytest.raises(Changed):
        list(chunks)
    with pytest.raises(SourceChanged, match="photo.*Run again"):
        store.fetch(entry, tmp_path / "copy")


def test_a_put_that_is_killed_leaves_the_old_bytes_and_nothing_to_list(tmp_path):
    store = Store(str(tmp_path / "out"))
    store.put("photo.jpg", b"old")
    program = (
        "import sys, time, io\n"
        "from colorize_core.places.folder import _replace\n"
        "class Slow(io.BytesIO):\n"
        "    def read(self, size):\n"
        "        print('reading', flush=True)\n"
        "        time.sleep(0.05)\n"
        "        return bytes(size)\n"
        "_replace(sys.argv[1], Slow())\n"
    )
    target = str(tmp_path / "out" / "photo.jpg")
    child = subprocess.Popen([sys.executable, "-c", program, target], stdout=subprocess.PIPE)
    for _ in range(3):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    left = [name for name in os.listdir(tmp_path / "out") if name.startswith(TEMPORARY)]
    assert len(left) == 1 and (tmp_path / "out" / left[0]).stat().st_size > 0
    assert keys(store) == {"photo.jpg"}
    assert store.read("photo.jpg") == b"old"


def test_readers_see_the_old_or_the_new_bytes_and_nothing_between(tmp_path):
    store = Store(str(tmp_path))
    bodies = {bytes([letter]) * 300_000 for letter in b"ab"}
    store.put("x", min(bodies))
    program = (
        "import sys\n"
        "from colorize_core.storage import Store\n"
        "while True:\n"
        "    for letter in (b'a', b'b'):\n"
        "        Store(sys.argv[1]).put('x', letter * 300_000)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    try:
        seen = set()
        deadline = time.monotonic() + 20
        while len(seen) < 2 and time.monotonic() < deadline:
            body = (tmp_path / "x").read_bytes()
            assert body in bodies
            seen.add(body)
            assert keys(store) == {"x"}
    finally:
        writer.kill()
        writer.wait()
    assert seen == bodies


def test_results_are_readable_by_others_as_the_umask_says(tmp_path):
    old = os.umask(0o022)
    try:
        Store(str(tmp_path)).put("x", b"1")
    finally:
        os.umask(old)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644


def test_check_says_what_is_wrong(tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(NotFound, match="missing"):
        Store(str(tmp_path / "missing")).check()
    with pytest.raises(StorageError, match="Give a folder"):
        Store(str(tmp_path / "file")).check()
    with pytest.raises(StorageError, match="Give a folder"):
        Store(str(tmp_path / "file" / "below")).check(write=True)
    with pytest.raises(NotFound, match="missing"):
        list(Store(str(tmp_path / "missing")).list())


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody can write to")
def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(StorageError):
        Store("/proc/self/fdinfo").check(write=True)
    if not ROOT:
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(AccessDenied, match="permissions"):
            Store(str(tmp_path / "locked")).check(write=True)


@pytest.mark.skipif(ROOT, reason="root may read everything")
def test_an_unreadable_folder_is_not_skipped_in_silence(tmp_path):
    (tmp_path / "locked").mkdir(mode=0)
    try:
        with pytest.raises(AccessDenied):
            list(Store(str(tmp_path)).list())
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_a_file_removed_while_its_folder_is_listed(tmp_path):
    for number in range(10):
        (tmp_path / str(number)).write_bytes(b"1")
    listed = []
    for entry in Store(str(tmp_path)).list():
        listed.append(entry.key)
        for path in Path(tmp_path).iterdir():
            path.unlink()
    assert len(listed) == 1
