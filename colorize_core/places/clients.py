"""What the clients of object stores raise, in a sentence, and whether trying again can help."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from colorize_core.places.trouble import AccessDenied, Damaged, NotFound, SourceChanged, StorageError, damaged, lost

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


def explain(error: BaseException, uri: str) -> StorageError | None:
    """The StorageError that says what a client's exception means; None for any other."""
    match error:
        case boto.ClientError():
            return _explain_answer(error, uri)
        case (
            boto.FlexibleChecksumError()
            | boto.IncompleteReadError()
            | boto.ResponseStreamingError()
            | aiohttp.ClientPayloadError()
        ):
            return damaged(error, uri)
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
        case boto.HTTPClientError() | boto.ConnectionError() | aiohttp.ClientError():
            return lost(error, uri)
        case ResponseParserError():
            return StorageError(f"{uri}: the answer could not be read ({error}). Run again.", retryable=True)
        case boto.BotoCoreError():
            return StorageError(f"{uri}: {error}")
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
