"""A folder of a mounted file system."""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from colorize_core.keys import TEMPORARY, is_temporary
from colorize_core.places import CHUNK, Attempt, Entry, expect


class Folder:
    """folder: an absolute path."""

    def __init__(self, folder: str):
        self.folder = folder

    def locate(self, key: str) -> str:
        if not key or key.startswith("/") or "\0" in key or ".." in key.split("/"):
            raise ValueError(f"not below {self.folder}: {key!r}")
        return os.path.join(self.folder, key)

    def list(self, prefix: str, attempt: Attempt) -> Iterator[Entry]:
        os.stat(self.folder)
        start = prefix.rpartition("/")[0]
        pending = [start and start + "/"]
        while pending:
            folder = pending.pop()
            try:
                items = os.scandir(self.locate(folder) if folder else self.folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            with items:
                for item in items:
                    key = folder + item.name
                    if item.is_dir(follow_symlinks=False):
                        if (key + "/").startswith(prefix[: len(key) + 1]):
                            pending.append(key + "/")
                    elif key.startswith(prefix) and not is_temporary(key) and item.is_file():
                        with suppress(FileNotFoundError):  # removed since its folder was read
                            yield _entry(key, item.stat())

    def stat(self, key: str) -> Entry:
        path = self.locate(key)
        if os.path.isdir(path):
            raise FileNotFoundError(errno.ENOENT, "a folder, not a file", path)
        return _entry(key, os.stat(path))

    def chunks(self, key: str, entry: Entry | None = None) -> Generator[bytes, None, None]:
        with open(self.locate(key), "rb", buffering=0) as file:
            before = _entry(key, os.fstat(file.fileno()))
            expect(entry, before.etag)
            while chunk := file.read(CHUNK):
                yield chunk
            expect(before, _entry(key, os.fstat(file.fileno())).etag)

    def put(self, key: str, stream: BinaryIO, content_type: str, attempt: Attempt) -> None:
        attempt(lambda: _replace(self.locate(key), stream))

    def delete(self, key: str) -> None:
        os.unlink(self.locate(key))

    def probe(self, write: bool) -> None:
        if write:
            probe = os.path.join(self.folder, TEMPORARY + "probe-" + secrets.token_hex(8))
            _replace(probe, io.BytesIO(b"probe"))
            os.unlink(probe)
        os.scandir(self.folder).close()


def _replace(path: str, stream: BinaryIO) -> None:
    """Write under a temporary name beside `path`, make it durable, and only then give it the name."""
    stream.seek(0)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, TEMPORARY + secrets.token_hex(8))
    try:
        with open(temporary, "xb") as file:
            shutil.copyfileobj(stream, file, CHUNK)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entry(key: str, stat: os.stat_result) -> Entry:
    return Entry(key, stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}")
