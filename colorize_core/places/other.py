"""Any other file system that fsspec knows: memory://, and gs:// where gcsfs is installed."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO

import fsspec

from colorize_core.keys import TEMPORARY, is_temporary
from colorize_core.places import Altered, Attempt, Entry, expect
from colorize_core.places.trouble import StorageError

BLOCK = 16 << 20  # bytes asked for at a time


class Other:
    """scheme: `memory` or `gs`. path: bucket and prefix, without a slash at the end."""

    def __init__(self, scheme: str, path: str):
        self.scheme = scheme
        self.path = path
        self._connection: tuple[int, Any] | None = None

    @property
    def _filesystem(self) -> fsspec.AbstractFileSystem:
        if self._connection is None or self._connection[0] != os.getpid():
            try:
                filesystem = fsspec.filesystem(self.scheme, use_listings_cache=False)
            except ImportError as error:
                raise StorageError(f"gs://{self.path}: install gcsfs to reach Google Cloud Storage.") from error
            self._connection = os.getpid(), filesystem
        return self._connection[1]

    def locate(self, key: str) -> str:
        if not key or key.startswith("/") or "\0" in key or ".." in key.split("/"):
            raise ValueError(f"not below {self.scheme}://{self.path}: {key!r}")
        return f"{self.path}/{key}"

    def list(self, prefix: str, attempt: Attempt) -> Iterator[Entry]:
        """Holds one folder at a time."""
        root = self._filesystem._strip_protocol(self.path) + "/"
        start = prefix.rpartition("/")[0]
        for _, _, files in self._filesystem.walk(f"{self.path}/{start}", detail=True):
            for info in files.values():
                key = info["name"][len(root) :]
                if key.startswith(prefix) and not is_temporary(key) and not (key.endswith("/") and not info["size"]):
                    yield _entry(key, info)

    def stat(self, key: str) -> Entry:
        return _entry(key, self._info(key))

    def chunks(self, key: str, entry: Entry | None = None) -> Generator[bytes, None, None]:
        info = self._info(key)
        before = _entry(key, info)
        expect(entry, before.etag)
        md5 = hashlib.md5(usedforsecurity=False)
        for start in range(0, before.size, BLOCK):
            chunk = self._filesystem.cat_file(self.locate(key), start, min(start + BLOCK, before.size))
            md5.update(chunk)
            yield chunk
        expect(before, self.stat(key).etag)
        if "md5Hash" in info and info["md5Hash"] != base64.b64encode(md5.digest()).decode():
            raise Altered("the body's MD5 is not the stored one")

    def put(self, key: str, stream: BinaryIO, content_type: str, attempt: Attempt) -> None:
        body = stream.read()
        attempt(lambda: self._filesystem.pipe_file(self.locate(key), body, content_type=content_type))

    def delete(self, key: str) -> None:
        self._filesystem.rm_file(self.locate(key))

    def probe(self, write: bool) -> None:
        if self.scheme == "gs":
            self._filesystem.ls(self.path.partition("/")[0])
        if write:
            probe = self.locate(TEMPORARY + "probe")
            self._filesystem.pipe_file(probe, b"probe")
            self._filesystem.rm_file(probe)

    def _info(self, key: str) -> dict:
        info = self._filesystem.info(self.locate(key))
        if info["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, "a folder, not an object", key)
        return info


def _entry(key: str, info: dict) -> Entry:
    created = info.get("created")
    version = info.get("etag") or f"{info['size']}-{getattr(created, 'timestamp', lambda: created)()}"
    return Entry(key, info["size"], str(version).strip('"'))
