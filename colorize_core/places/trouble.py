"""What went wrong with storage, in a sentence, and whether trying again can help."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from urllib.parse import urlsplit

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

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


_CREDENTIALS = {
    "InvalidAccessKeyId": "the access key is not known there. Correct AWS_ACCESS_KEY_ID.",
    "SignatureDoesNotMatch": "the secret key does not match the access key. Correct AWS_SECRET_ACCESS_KEY.",
    "ExpiredToken": "the session has expired. Renew the credentials.",
    "TokenRefreshRequired": "the session has expired. Renew the credentials.",
    "InvalidToken": "the session token is not valid. Correct AWS_SESSION_TOKEN.",
    "RequestTimeTooSkewed": "the clock of this machine differs too much from the store's. Set it right.",
    "InvalidObjectState": "the object is in cold storage. Restore it first.",
}
_ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_PASSING = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "RequestTimeout",
    "InternalError",
    "ServiceUnavailable",
    "OperationAborted",
    "ConditionalRequestConflict",
}
_ALTERED_ON_THE_WAY = {"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
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
    match error:
        case StorageError():
            return error
        case boto.ClientError():
            return _explain_answer(error, uri)
        case Changed():
            return SourceChanged(f"{uri}: {error}. Run again to list it anew.")
        case (
            Altered()
            | boto.FlexibleChecksumError()
            | boto.IncompleteReadError()
            | boto.ResponseStreamingError()
            | aiohttp.ClientPayloadError()
        ):
            return Damaged(f"{uri}: the bytes arrive truncated or altered ({error}). Run again; suspect the object.")
        case boto.NoCredentialsError() | boto.PartialCredentialsError() | boto.ProfileNotFound():
            advice = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            return AccessDenied(f"{uri}: no usable credentials ({error}). {advice}.")
        case boto.CredentialRetrievalError() | boto.TokenRetrievalError():
            return AccessDenied(f"{uri}: the credentials could not be fetched or renewed ({error}). Renew them.")
        case boto.EndpointConnectionError():
            reason = getattr(error.kwargs.get("error"), "os_error", None)
            unknown = isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME
            advice = "The name is unknown: correct" if unknown else "Run again, start the server or correct"
            host = urlsplit(error.kwargs.get("endpoint_url", "")).netloc
            sentence = f"{uri}: no answer from {host}. {advice} AWS_ENDPOINT_URL or AWS_REGION."
            return StorageError(sentence, retryable=not unknown)
        case boto.SSLError():
            untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
            advice = "Set AWS_CA_BUNDLE to a bundle that trusts it" if untrusted else "Run again"
            return StorageError(f"{uri}: {error}. {advice}.", retryable=not untrusted)
        case boto.HTTPClientError() | boto.ConnectionError() | aiohttp.ClientError() | asyncio.TimeoutError():
            reason = str(error) or "timed out"
            return StorageError(f"{uri}: the connection failed ({reason}). Run again.", retryable=True)
        case ResponseParserError():
            return StorageError(f"{uri}: the answer could not be read ({error}). Run again.", retryable=True)
        case boto.BotoCoreError():
            return StorageError(f"{uri}: {error}")
        case OSError():
            return _explain_os(error, uri)
        case ValueError() if "endpoint" in str(error).lower():
            return StorageError(f"{uri}: {error}. Correct AWS_ENDPOINT_URL.")
    return None


def _explain_answer(error: boto.ClientError, uri: str) -> StorageError:
    """A refusal the S3 server gave."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = error.response.get("Error", {}).get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CREDENTIALS:
        return AccessDenied(f"{uri}: {_CREDENTIALS[code]}")
    if code in _ALTERED_ON_THE_WAY:
        return Damaged(f"{uri}: the bytes are altered on their way to the store ({code}). Run again.")
    if code in _PASSING or status in (408, 429) or (status >= 500 and status != 501):
        return StorageError(f"{uri}: the store is busy or failing ({code or status}). Run again.", retryable=True)
    if code == "NoSuchBucket":
        return NotFound(f"{uri}: the bucket does not exist. Create it or correct the address.")
    if code in _ELSEWHERE:
        return StorageError(f"{uri}: the bucket is in another region or at another address. Set AWS_REGION. {message}")
    if status == 404:
        return NotFound(f"{uri}: there is no such object. It may have been removed; correct the address or list again.")
    if status == 412:
        return SourceChanged(f"{uri}: another version is there now. Run again to list it anew.")
    if status in (401, 403):
        return AccessDenied(f"{uri}: access denied ({code}). Correct the credentials or ask for the permission.")
    return StorageError(f"{uri}: the store refuses ({code or status}: {message}).")


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
    if not isinstance(error, boto.ClientError):
        return 0.0
    value = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return float(value) if re.fullmatch(r"\d{1,6}", value) else 0.0
