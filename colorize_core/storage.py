"""One door to the places photos live in: a folder, an S3 bucket, a Google bucket, the memory of this process.

A `Store` lists, reads and writes below one root. What it promises:

* A read gives the bytes that were listed, or raises. Length, version (ETag, or size and modification time) and every
  digest the store offers (MD5 ETags, multipart ETags part by part, `x-amz-checksum-*`) are checked on the way.
* A write is seen whole or not at all, and a body damaged on its way to S3 is refused or written again.
* Every operation, its body included, is repeated by class of error: throttling, 5xx, resets, timeouts, truncated and
  damaged bodies are; missing things, denied access and wrong addresses are not. What is raised in the end is a
  `StorageError` whose message names the address and what to do.

Addresses are a path, `file://`, `s3://bucket/prefix`, `gs://bucket/prefix` or `memory://name`, all taken literally
(nothing is percent-decoded). S3 is set up by the standard variables, read on the machine that connects:
AWS_ACCESS_KEY_ID and its kin (or a role, or AWS_SHARED_CREDENTIALS_FILE, which is read again when its keys are
refused), AWS_REGION, AWS_CA_BUNDLE, AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3 (path-style addressing then). Servers that
refuse the checksums of newer clients want AWS_REQUEST_CHECKSUM_CALCULATION=when_required and
AWS_RESPONSE_CHECKSUM_VALIDATION=when_required; Content-MD5 goes with every write either way. No credential is kept in
a Store, its pickle, its repr or a message.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from colorize_core.keys import safe_key
from colorize_core.places import Altered, Entry, Place
from colorize_core.places.trouble import (
    AccessDenied,
    Damaged,
    NotFound,
    SourceChanged,
    StorageError,
    explain,
    retry_after,
)

__all__ = [
    "AccessDenied",
    "Damaged",
    "Entry",
    "NotFound",
    "SourceChanged",
    "StorageError",
    "Store",
    "inside",
    "safe_key",
]

READ_TIMEOUT = 60.0  # seconds without a byte
BACKOFF = 0.5  # seconds before the second attempt; doubles from there
BACKOFF_LIMIT = 30.0  # seconds, also for what a server asks for in Retry-After

log = logging.getLogger(__name__)
T = TypeVar("T")


class Store:
    """Everything below one root address.

    uri: a path, file://, s3://bucket/prefix, gs://bucket/prefix or memory://name.
    attempts: how often an operation is tried before a passing trouble becomes a StorageError.
    timeout: seconds without a byte after which a connection counts as dead.

    Stores are cheap to make, connect on first use in each process, pickle, and serve several threads.
    """

    def __init__(self, uri: str, *, attempts: int = 6, timeout: float = READ_TIMEOUT):
        if attempts < 1:
            raise ValueError("attempts must be at least 1")
        self.attempts = attempts
        self.timeout = timeout
        self.root, self._place = _open(str(uri), timeout)

    def __repr__(self) -> str:
        return f"Store({self.root!r})"

    def __reduce__(self):
        return _restore, (self.root, self.attempts, self.timeout)

    def uri(self, key: str) -> str:
        """The address of `key`. Raises ValueError for a key that is not below the root."""
        self._place.locate(key)
        return f"{self.root}/{key}"

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every object whose key starts with `prefix`, in no particular order, a page at a time.

        Folders are descended into. Left out are zero-byte "folder/" markers, symbolic links to folders and the
        temporary names of unfinished writes.
        """
        with self._explained(self.root):
            yield from self._place.list(prefix, lambda page: self._attempt(self.root, page))

    def stat(self, key: str) -> Entry:
        """Size and version of one object; raises NotFound."""
        return self._attempt(self.uri(key), lambda: self._place.stat(key))

    def exists(self, key: str) -> bool:
        try:
            self.stat(key)
        except NotFound:
            return False
        return True

    def read(self, key: str) -> bytes:
        """The whole object in memory, for small things."""
        return self._attempt(self.uri(key), lambda: b"".join(self._place.chunks(key)))

    def fetch(self, entry: Entry, path: Path) -> str:
        """Copy one listed object to a local file and return its SHA-256 in hex.

        Raises SourceChanged if another version than the listed one is there, Damaged if the bytes never arrived as
        the store describes them. Whatever is raised, no file is left at `path`.
        """
        uri = self.uri(entry.key)
        try:
            with open(path, "wb") as target:
                return self._attempt(uri, lambda: self._copy(entry, target))
        except BaseException:
            Path(path).unlink(missing_ok=True)
            raise

    def put(self, key: str, source: bytes | Path, content_type: str = "application/octet-stream") -> None:
        """Write one object, all of it or nothing, over whatever was there.

        Raises ValueError for a key that is not a plain relative path (`safe_key` makes one).
        """
        if "\\" in key or "\0" in key or {"", ".", ".."} & set(key.split("/")):
            raise ValueError(f"not a plain relative path: {key!r}")
        uri = self.uri(key)
        with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream, self._explained(uri):
            self._place.put(key, stream, content_type, lambda call: self._attempt(uri, call))

    def delete(self, key: str) -> None:
        """Remove one object. Jobs remove only what they can make again: never a scan, a derivative or a record."""
        self._attempt(self.uri(key), lambda: self._place.delete(key))

    def check(self, write: bool = False) -> None:
        """Find out before any work whether the root can be listed and, if asked, written; a StorageError says why not.

        With `write` a missing folder is made, and a small object is written and removed again.
        """
        self._attempt(self.root, lambda: self._place.probe(write), min(self.attempts, 3))

    def _copy(self, entry: Entry, target: BinaryIO) -> str:
        target.seek(0)
        target.truncate()
        sha256 = hashlib.sha256()
        with closing(self._place.chunks(entry.key, entry)) as chunks:
            for chunk in chunks:
                sha256.update(chunk)
                target.write(chunk)
        target.flush()
        if target.tell() != entry.size:
            raise Altered(f"{target.tell()} bytes arrived, {entry.size} were listed")
        return sha256.hexdigest()

    def _attempt(self, uri: str, operation: Callable[[], T], attempts: int | None = None) -> T:
        last = attempts or self.attempts
        for attempt in range(1, last + 1):
            try:
                with self._explained(uri):
                    return operation()
            except StorageError as error:
                if not error.retryable or attempt == last:
                    raise
                pause = min(BACKOFF * 2 ** (attempt - 1), BACKOFF_LIMIT) * random.uniform(0.5, 1)
                pause = max(pause, min(retry_after(error.__cause__), BACKOFF_LIMIT))
                log.info("attempt %d of %d in %.1f s. %s", attempt + 1, last, pause, error)
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _explained(self, uri: str) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except Exception as error:
            if (explained := explain(error, uri)) is None:
                raise
            raise explained from error


def inside(uri: str, root: str) -> bool:
    """Whether one normalized address lies below another or is the same, links of the file system followed."""
    uri, root = (
        f"file://{os.path.realpath(a.removeprefix('file://'))}" if a.startswith("file://") else a for a in (uri, root)
    )
    return uri == root or uri.startswith(root.rstrip("/") + "/")


def _open(uri: str, timeout: float) -> tuple[str, Place]:
    """The normalized address and what is behind it. Only what is used is imported."""
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme == "file":
        from colorize_core.places.folder import Folder

        folder = os.path.abspath(rest if mark else os.path.expanduser(uri))
        return f"file://{folder}".rstrip("/"), Folder(folder)
    rest = rest.rstrip("/")
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket:
        raise ValueError("credentials do not belong in an address: set AWS_ACCESS_KEY_ID and its kin instead")
    if not bucket:
        raise ValueError(f"{uri!r} names no bucket")
    if scheme in ("s3", "s3a"):
        from colorize_core.places.bucket import Bucket

        return f"s3://{rest}", Bucket(bucket, prefix and prefix + "/", timeout)
    if scheme in ("gs", "gcs", "memory"):
        from colorize_core.places.other import Other

        scheme = "memory" if scheme == "memory" else "gs"
        return f"{scheme}://{rest}", Other(scheme, rest)
    raise ValueError(f"{uri!r} is none of a path, file://, s3://, gs://, memory://")


def _restore(uri: str, attempts: int, timeout: float) -> Store:
    return Store(uri, attempts=attempts, timeout=timeout)
