"""A prefix of an S3 bucket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import logging
import os
import re
import threading
import time
from collections.abc import Coroutine, Generator, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO

from aiobotocore.session import get_session
from botocore.exceptions import ClientError
from fsspec.asyn import sync
from s3fs import S3FileSystem

from colorize_core.keys import TEMPORARY, is_temporary
from colorize_core.places import CHUNK, Altered, Attempt, Entry, expect
from colorize_core.places.trouble import AccessDenied, explain

log = logging.getLogger(__name__)

PART = 64 << 20  # bytes; larger objects are written in parts of this size
CONNECT_TIMEOUT = 10.0  # seconds
RENEWAL = 1.0  # second that a connection must have worked before a refusal makes us read the credentials again
_STALE = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "TokenRefreshRequired", "InvalidToken", "403"}
PATIENCE = 5  # times the timeout: what an answer, or one chunk of a body, may take in all
_MD5 = re.compile(r"[0-9a-f]{32}")
_PARTS = re.compile(r"[0-9a-f]{32}-(\d+)")


class Bucket:
    """prefix is empty or ends in a slash. timeout: seconds without a byte after which a connection counts as dead."""

    def __init__(self, bucket: str, prefix: str, timeout: float):
        self.bucket = bucket
        self.prefix = prefix
        self.timeout = timeout
        self._lock = threading.Lock()
        self._connection: tuple[int, float, S3FileSystem] | None = None  # process, when it was made

    def locate(self, key: str) -> str:
        if not key or "\0" in key:
            raise ValueError(f"not a key: {key!r}")
        return self.prefix + key

    def list(self, prefix: str, attempt: Attempt) -> Iterator[Entry]:
        query = {"Prefix": self.prefix + prefix}
        while True:
            page = attempt(lambda: self._page(query))
            for item in page.get("Contents", ()):
                key = item["Key"][len(self.prefix) :]
                marker = item["Size"] == 0 and item["Key"].endswith("/")
                if not marker and not is_temporary(key):
                    yield Entry(key, item["Size"], _etag(item))
            if "NextContinuationToken" not in page:
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def stat(self, key: str) -> Entry:
        head = self._call("head_object", Key=self.locate(key))
        return Entry(key, head["ContentLength"], _etag(head))

    def chunks(self, key: str, entry: Entry | None = None) -> Generator[bytes, None, None]:
        """The body, held against its ETag at the end.

        The ETag of an object written in parts is the MD5 of the parts' MD5s, so it is read in parts as well, where
        the server can do that.
        """
        query = {"Key": self.locate(key)}
        if entry:
            query["IfMatch"] = f'"{entry.etag}"'
        written = _PARTS.fullmatch(entry.etag) if entry else None
        parts = int(written[1]) if written else 1
        digests: list[bytes] = []
        while len(digests) < parts:
            answer, parts = self._get(query, entry, len(digests) + 1, parts)
            expect(entry, _etag(answer))
            md5 = hashlib.md5(usedforsecurity=False)
            for chunk in self._stream(answer["Body"]):
                md5.update(chunk)
                yield chunk
            digests.append(md5.digest())
        if written and parts == int(written[1]):
            _compare(answer, _multipart_etag(digests))
        else:
            _compare(answer, digests[0].hex())

    def put(self, key: str, stream: BinaryIO, content_type: str, attempt: Attempt) -> None:
        target = {"Key": self.locate(key)}
        body = stream.read(PART)
        if len(body) < PART:
            attempt(lambda: self._send("put_object", body, **target, ContentType=content_type))
            return
        upload = attempt(lambda: self._call("create_multipart_upload", **target, ContentType=content_type))
        target["UploadId"] = upload["UploadId"]
        try:
            parts: Sequence[dict] = []
            digests: Sequence[bytes] = []
            while body:
                number = {"PartNumber": len(parts) + 1}
                answer = attempt(partial(self._send, "upload_part", body, **target, **number))
                parts = [*parts, number | {name: value for name, value in answer.items() if _describes_part(name)}]
                digests = [*digests, hashlib.md5(body, usedforsecurity=False).digest()]
                body = stream.read(PART)
            attempt(lambda: self._complete(key, target, parts, _multipart_etag(digests)))
        except BaseException:
            self._abort(target)
            raise

    def delete(self, key: str) -> None:
        self._call("delete_object", Key=self.prefix + key)

    def probe(self, write: bool) -> None:
        self._call("list_objects_v2", Prefix=self.prefix, MaxKeys=1)
        if not write:
            return
        probe = self.prefix + TEMPORARY + "probe"
        self._send("put_object", b"probe", Key=probe)
        try:
            self._call("delete_object", Key=probe)
        except ClientError as error:
            # whoever may write but not delete can still do the job
            if not isinstance(explain(error, ""), AccessDenied):
                raise

    def _page(self, query: dict[str, str]) -> dict:
        page = self._call("list_objects_v2", **query)
        if page.get("IsTruncated", False) != ("NextContinuationToken" in page):
            raise Altered("a page of the listing is neither the last nor followed by one")
        return page

    def _get(self, query: dict[str, str], entry: Entry | None, part: int, parts: int) -> tuple[dict, int]:
        """One part of several, and how many there are to read: 1 from a server that gives only the whole."""
        if entry is None or parts == 1:
            return self._call("get_object", **query), 1
        try:
            answer = self._call("get_object", **query, PartNumber=part)
        except ClientError as error:
            if part > 1 or error.response["ResponseMetadata"]["HTTPStatusCode"] not in (400, 416, 501):
                raise
            return self._call("get_object", **query), 1
        return answer, 1 if answer["ContentLength"] == entry.size else parts

    def _stream(self, body) -> Iterator[bytes]:
        async def read() -> bytes:
            # the client compares length and checksum when it meets the end, so the end has to be read
            pieces, missing = [], CHUNK
            while missing and (piece := await body.read(missing)):
                pieces.append(piece)
                missing -= len(piece)
            return b"".join(pieces)

        async def close() -> None:
            async with body:
                pass

        loop = self._filesystem().loop
        try:
            while chunk := sync(loop, read, timeout=PATIENCE * self.timeout):
                yield chunk
        finally:
            sync(loop, close)

    def _send(self, operation: str, body: bytes, **arguments) -> dict:
        """Write one body that the server refuses, or we find out, if it is not what arrived."""
        md5 = hashlib.md5(body, usedforsecurity=False)
        arguments["ContentMD5"] = base64.b64encode(md5.digest()).decode()
        answer = self._call(operation, Body=_Watched(body), **arguments)
        _compare(answer, md5.hexdigest())
        return answer

    def _complete(self, key: str, target: dict[str, str], parts: Sequence[dict], etag: str) -> None:
        try:
            answer = self._call("complete_multipart_upload", **target, MultipartUpload={"Parts": parts})
        except ClientError as error:
            # an earlier attempt, whose answer was lost, may have done it
            if error.response["Error"].get("Code") != "NoSuchUpload" or self.stat(key).etag != etag:
                raise
        else:
            _compare(answer, etag)

    def _abort(self, target: dict[str, str]) -> None:
        try:
            self._call("abort_multipart_upload", **target)
        except Exception as error:
            log.info("an unfinished upload stays behind at s3://%s/%s: %s", self.bucket, target["Key"], error)

    def _call(self, operation: str, **arguments) -> dict:
        """One request; a second one if the keys may have been rotated since the connection was made."""
        filesystem = self._filesystem()
        try:
            return self._request(filesystem, operation, arguments)
        except ClientError as error:
            if error.response["Error"].get("Code") not in _STALE or not self._renew(filesystem):
                raise
        if "Body" in arguments:
            arguments["Body"].seek(0)
        return self._request(self._filesystem(), operation, arguments)

    def _request(self, filesystem: S3FileSystem, operation: str, arguments: dict[str, Any]) -> dict:
        method = getattr(filesystem.s3, operation)

        async def call() -> dict:
            request = method(Bucket=self.bucket, **arguments)
            if "Body" in arguments:
                return await arguments["Body"].watch(request, self.timeout)
            # a garbled answer can leave the client waiting for good, past its own read timeout
            return await asyncio.wait_for(request, PATIENCE * self.timeout)

        return sync(filesystem.loop, call)

    def _filesystem(self) -> S3FileSystem:
        """The connection of this process: one made before a fork is of no use after it."""
        with self._lock:
            if self._connection is None or self._connection[0] != os.getpid():
                self._connection = os.getpid(), time.monotonic(), _connect(self.timeout)
            return self._connection[2]

    def _renew(self, refused: S3FileSystem) -> bool:
        """Whether there is another connection now than the refused one: a young one is not made again."""
        with self._lock:
            if self._connection and self._connection[2] is refused:
                if time.monotonic() - self._connection[1] < RENEWAL:
                    return False
                self._connection = None
            return True


class _Watched(io.BytesIO):
    """The body of an upload, which notices when the server stops taking it.

    The client's own read timeout only begins once the body has been sent.
    """

    def __init__(self, body: bytes):
        super().__init__(body)
        self._taken = time.monotonic()

    def read(self, size: int | None = -1) -> bytes:
        self._taken = time.monotonic()
        return super().read(size)

    async def watch(self, request: Coroutine, timeout: float) -> dict:
        """The outcome of the request, or TimeoutError after `timeout` seconds in which nothing was taken."""
        task = asyncio.ensure_future(request)
        try:
            while not task.done():
                if time.monotonic() - self._taken > timeout:
                    raise TimeoutError(f"nothing was taken for {timeout} s")
                await asyncio.wait({task}, timeout=timeout / 10)
            return task.result()
        finally:
            task.cancel()


def _connect(timeout: float) -> S3FileSystem:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and "@" in endpoint:
        raise AccessDenied("Credentials do not belong in AWS_ENDPOINT_URL: set AWS_ACCESS_KEY_ID and its kin instead.")
    region = os.environ.get("AWS_REGION")  # botocore itself reads AWS_DEFAULT_REGION only
    config: dict[str, Any] = {
        "connect_timeout": min(CONNECT_TIMEOUT, timeout),
        "read_timeout": timeout,
        "retries": {"total_max_attempts": 1, "mode": "standard"},  # the door repeats whole operations
        "max_pool_connections": 64,
    }
    if endpoint:
        config["s3"] = {"addressing_style": "path"}
    session = get_session()
    # Times in answers are left as text: nobody reads them, and they take most of the time of reading a listing.
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    return S3FileSystem(
        session=session,
        client_kwargs={"region_name": region} if region else {},
        config_kwargs=config,
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def _etag(answer: dict) -> str:
    return answer["ETag"].strip('"')


def _compare(answer: dict, expected: str) -> None:
    """Raise Altered if the ETag in an answer is a digest and not the expected one.

    It is no digest where the server encrypts with managed or given keys, or when it has another form.
    """
    etag = _etag(answer)
    form = _PARTS if "-" in expected else _MD5
    encrypted = answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer
    if form.fullmatch(etag) and not encrypted and etag != expected:
        raise Altered(f"the ETag is {etag}, the bytes make {expected}")


def _multipart_etag(digests: Sequence[bytes]) -> str:
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def _describes_part(name: str) -> bool:
    return name == "ETag" or (name.startswith("Checksum") and name != "ChecksumType")
