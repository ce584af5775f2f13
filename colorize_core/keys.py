"""Names for results that any store can hold."""

from __future__ import annotations

import hashlib
import re

TEMPORARY = ".autochrome-tmp-"  # first characters of names that are not there yet; never listed
SEGMENT_BYTES = 200
KEY_BYTES = 800
_UNSAFE = re.compile(r"[%\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SHORTENED = re.compile(r"~(?=[0-9a-f]{16}\Z)")


def readable(key: str) -> str:
    """The key as records hold it: bytes of a file name that are not UTF-8 become escapes such as ``\\xe9``."""
    return key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def safe_key(key: str) -> str:
    """A relative path that any store can hold, different for every `key`; most keys are their own.

    Per segment: `%`, backslash, control characters and lone surrogates are percent-encoded, and so are the dots of
    `.`, `..` and of names this package uses for temporary files; an empty segment becomes a bare `%`. A segment of
    more than 200 UTF-8 bytes is cut and ends in `~` and 16 hex digits of its SHA-256 (the `~` of a name that already
    ends so is encoded). Of a path over 800 bytes, the segments after the first 600 bytes become one such segment.
    No segment of the result is over 200 bytes, which leaves room for an extension.
    """
    segments = [_safe_segment(segment) for segment in key.split("/")]
    if _length(segments) > KEY_BYTES:
        head: list[str] = []
        while _length([*head, segments[0]]) <= KEY_BYTES - SEGMENT_BYTES:
            head.append(segments.pop(0))
        segments = [*head, _shorten("%2F".join(segments))]
    return "/".join(_shorten(s) if len(s.encode()) > SEGMENT_BYTES else s for s in segments)


def is_temporary(key: str) -> bool:
    """Whether the last segment is the name of something still being written."""
    return key.rpartition("/")[2].startswith(TEMPORARY)


def _safe_segment(segment: str) -> str:
    if segment in ("", ".", ".."):
        return segment.replace(".", "%2E") or "%"
    segment = _UNSAFE.sub(lambda m: "".join(f"%{b:02X}" for b in m[0].encode("utf-8", "surrogatepass")), segment)
    if segment.startswith(TEMPORARY):
        segment = "%2E" + segment[1:]
    return _SHORTENED.sub("%7E", segment)


def _length(segments: list[str]) -> int:
    return len("/".join(segments).encode())


def _shorten(segment: str) -> str:
    digest = hashlib.sha256(segment.encode()).hexdigest()[:16]
    return segment.encode()[: SEGMENT_BYTES - 17].decode(errors="ignore") + "~" + digest
