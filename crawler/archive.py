"""The base of spiders that read an archive's JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from scrapy import Spider
from scrapy.http import Request, Response

from colorize_core.text import visible
from crawler.values import listed, mapping, text

NAMES = ("id", "@id", "identifier", "name", "title", "url")  # of a record, for the log


class Archive(Spider):
    """Arguments come as text, from ``-a name=value``; a wrong one raises ValueError with a sentence."""

    meta: dict[str, Any] = {}  # of the requests to its API

    def __init__(self, **unknown: str):
        super().__init__()
        if unknown:
            raise ValueError(f"{self.name} takes no argument {', '.join(sorted(unknown))}")

    def ask(self, url: str, callback: Callable, **context: Any) -> Request:
        return Request(url, callback, cb_kwargs=context, meta=dict(self.meta))

    def read(self, response: Response) -> dict[str, Any] | None:
        """The JSON object that was answered; None, and a line in the log, where it is something else."""
        try:
            answer = json.loads(response.body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            kind = (response.headers.get("Content-Type") or b"no type").decode("latin-1")
            self.logger.error("%s answered with something else than a JSON object (%s)", response.url, kind)
            return None
        return answer

    def each(self, records: Any, make: Callable[[Any], Iterable[Any]]) -> Iterator[Any]:
        """What ``make`` gives for each record; one that breaks it is named in the log and loses no other."""
        for record in listed(records):
            try:
                yield from make(record)
            except Exception as error:
                fields = mapping(record)
                name = visible(str(next((fields[key] for key in NAMES if fields.get(key)), record)))[:120]
                self.logger.error("a record could not be read and is left out: %s (%r)", name, error)


def address(value: Any) -> str:
    """The value where it is an http(s) URL, otherwise ValueError."""
    url = text(value) or ""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{value!r} is no address")
    return url


def web_address(spider: str, name: str, url: str | None) -> str:
    """A checked http(s) URL, without a slash at its end."""
    if not url or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"{spider} needs -a {name}=, an address that begins with http:// or https://; got {url!r}")
    return url.rstrip("/")


def number(spider: str, name: str, said: str | int, least: int) -> int:
    """A whole number of at least ``least``."""
    try:
        value = int(said)
    except ValueError:
        value = least - 1
    if value < least:
        raise ValueError(f"{spider} takes -a {name}= a whole number from {least}; got {said!r}")
    return value
