"""Hints files that lie beside scans, each named like its scan with ``hints.SUFFIX`` behind."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from colorize_core.header import Rejected
from colorize_core.hints import LARGEST_FILE, SUFFIX, Hints
from colorize_core.manifest import STATS
from colorize_core.storage import Entry, NotFound, StorageError, Store


def may_have(key: str) -> bool:
    """Whether a file of this key can be a scan, and not a folder or a hints file itself."""
    return bool(key) and not key.endswith(("/", SUFFIX))


def text_of(data: bytes) -> str:
    """What a hints file says, spelled in the one way that its meaning has.

    One that cannot be used stays as it is, escapes where it is no UTF-8, so that it is still none: its scan is rejected
    with the reason by whoever uses it.
    """
    try:
        return Hints.parse(data).canonical()
    except Rejected:
        return data.decode(errors="backslashreplace")


def read_beside(source: Store, scans: Sequence[Entry], files: Mapping[str, Entry] | None = None) -> list[str | None]:
    """The ``text_of`` the hints file of each scan, None where there is none.

    files: those known already, by the key of their scan; the others are looked for. Raises StorageError.
    """

    def read(scan: Entry) -> str | None:
        try:
            file = (files or {}).get(scan.key) or source.stat(scan.key + SUFFIX)
            if file.size > LARGEST_FILE:  # is not read; what stands for this version of it is too large as well
                return f"{file.size} {file.etag}".ljust(LARGEST_FILE + 1)
            return text_of(source.read(file.key))
        except NotFound:
            return None
        except StorageError as error:
            if getattr(error.__cause__, "errno", None) == errno.ENAMETOOLONG:
                return None
            raise

    with ThreadPoolExecutor(STATS) as pool:
        return list(pool.map(read, scans))
