"""What went wrong with storage, in a sentence, and whether trying again can help."""

from __future__ import annotations

import asyncio
import errno
import re
import sys

from colorize_core.places import Altered, Changed


class StorageError(Exception):
    """Storage did not do what was asked. The message names the address and what to do.

    retryable: the same call may succeed later; it has already been repeated as often as the Store allows.
    """

    retryable = False

    def __init__(self, message: str, *, retryable: bool | None = None):
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable


class NotFound(StorageError):
    """There is nothing at this address."""


class AccessDenied(StorageError):
    """The credentials are missing, wrong, or not allowed to do this."""


class SourceChanged(StorageError):
    """Another version than the one listed is there now: list again."""


class Damaged(StorageError):
    """The bytes were still truncated or altered after every attempt."""

    retryable = True


_PASSING_ERRNO = {
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EAGAIN,
    errno.EBUSY,
    errno.EINTR,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
}


def explain(error: BaseException, uri: str) -> StorageError | None:
    """The StorageError that says what an exception met at `uri` means; None for one that is not about storage."""
    if "aiohttp" in sys.modules:  # else no client is, and a folder does not wait for a quarter of a second of imports
        from colorize_core.places import clients

        if explained := clients.explain(error, uri):
            return explained
    match error:
        case StorageError():
            return error
        case Changed():
            return SourceChanged(f"{uri}: {error}. Run again to list it anew.")
        case Altered():
            return damaged(error, uri)
        case asyncio.TimeoutError():
            return lost(error, uri)
        case OSError():
            return _explain_os(error, uri)
        case ValueError() if "endpoint" in str(error).lower():
            return StorageError(f"{uri}: {error}. Correct AWS_ENDPOINT_URL.")
    return None


def damaged(error: BaseException, uri: str) -> StorageError:
    return Damaged(f"{uri}: the bytes arrive truncated or altered ({error}). Run again; suspect the object.")


def lost(error: BaseException, uri: str) -> StorageError:
    return StorageError(f"{uri}: the connection failed ({str(error) or 'timed out'}). Run again.", retryable=True)


def _explain_os(error: OSError, uri: str) -> StorageError:
    """An error of the operating system, or one that an fsspec file system words like it."""
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{uri}: not there. Correct the address, or mount what should be there.")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return AccessDenied(f"{uri}: access denied ({error.strerror or error}). Correct the permissions or the user.")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"{uri}: no space is left, there or on this machine. Make room and run again.")
    if isinstance(error, (NotADirectoryError, FileExistsError)):
        return StorageError(f"{uri}: a file is where a folder is needed. Give a folder.")
    passing = isinstance(error, (ConnectionError, TimeoutError)) or error.errno in _PASSING_ERRNO
    return StorageError(f"{uri}: {error.strerror or error}.", retryable=passing)


def retry_after(error: BaseException | None) -> float:
    """Seconds the server asked to wait, 0 if it did not."""
    response = getattr(error, "response", None)
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}) if isinstance(response, dict) else {}
    value = headers.get("retry-after", "")
    return float(value) if re.fullmatch(r"\d{1,6}", value) else 0.0
