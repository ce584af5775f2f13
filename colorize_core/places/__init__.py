"""What a kind of storage must know to stand behind the door of `colorize_core.storage`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

CHUNK = 1 << 20  # bytes read at a time

Attempt = Callable[[Callable[[], Any]], Any]  # calls until it succeeds or must not be repeated


@dataclass(frozen=True)
class Entry:
    """One object. size in bytes. etag: its version, unquoted; on a file system f"{size}-{mtime_ns}"."""

    key: str
    size: int
    etag: str


class Altered(Exception):
    """A body that is shorter, longer or otherwise not what the store says it holds."""


class Changed(Exception):
    """Another version than the one asked for."""


class Place(Protocol):
    """One kind of storage, below one root. Its errors are those of its library; the door explains them.

    Each call is one attempt; `list` and `put`, which are made of several, are given the means to repeat each.
    """

    def locate(self, key: str) -> str:
        """Where `key` is in the library's words. Raises ValueError for one that is not below the root."""

    def list(self, prefix: str, attempt: Attempt) -> Iterator[Entry]: ...

    def stat(self, key: str) -> Entry: ...

    def chunks(self, key: str, entry: Entry | None = None) -> Generator[bytes, None, None]:
        """The body, of the version of `entry` if given. It is known to be good only once read to its end."""

    def put(self, key: str, stream: BinaryIO, content_type: str, attempt: Attempt) -> None: ...

    def delete(self, key: str) -> None: ...

    def probe(self, write: bool) -> None:
        """Raise what stands in the way of listing, and with `write` of writing."""


def expect(entry: Entry | None, found: str) -> None:
    """Raise Changed unless the version found is the one of `entry`, or none was asked for."""
    if entry and found != entry.etag:
        raise Changed(f"version {found} is there now, {entry.etag} was listed")
