"""Manners towards a server: the pace that its robots.txt asks for, and the pauses that it asks for when it is busy."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from scrapy import Request, signals
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.robotstxt import RobotParser
from scrapy.utils.httpobj import urlparse_cached

LONGEST_PAUSE = 3600.0  # seconds; a server that wants more is left alone until another run
BUSY = (429, 503)

log = logging.getLogger(__name__)


class Busy(IgnoreRequest):
    """A request to a server that wants to be left alone for longer than a crawl waits."""


@dataclass
class _Host:
    spacing: float = 0.0  # seconds between requests
    sent: float = float("-inf")  # when the last one went out; like the next, in seconds of time.monotonic
    closed_until: float = float("-inf")
    door: asyncio.Lock = field(default_factory=asyncio.Lock)


class Manners:
    """A Scrapy extension: what each host has asked for."""

    def __init__(self, crawler: Crawler):
        self.crawler = crawler
        self.hosts: dict[str, _Host] = defaultdict(_Host)
        crawler.signals.connect(self.robots_parsed, signals.robots_parsed)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Manners:
        return cls(crawler)

    def robots_parsed(self, robotparser: RobotParser, request: Request) -> None:
        name = self.crawler.settings["ROBOTSTXT_USER_AGENT"]
        if delay := robotparser.crawl_delay(name):
            host = self._host(request)
            host.spacing = max(host.spacing, delay)
            log.info("%s asks for %g s between requests", urlparse_cached(request).hostname, delay)

    async def turn(self, request: Request) -> None:
        """Wait until the host may be asked. Raises Busy."""
        host = self._host(request)
        async with host.door:
            while (wait := max(host.sent + host.spacing, host.closed_until) - time.monotonic()) > 0:
                if host.closed_until - time.monotonic() > LONGEST_PAUSE:
                    raise Busy(f"{urlparse_cached(request).hostname} asked to be left alone; run again later")
                if not self.crawler.crawling:
                    raise IgnoreRequest("the crawl was stopped")
                await asyncio.sleep(min(wait, 1.0))
            host.sent = time.monotonic()

    def heed(self, request: Request, response: Response) -> None:
        """Close a host for as long as it asks; for 1, 2, 4, ... seconds when it is busy and does not say."""
        if response.status not in BUSY:
            return
        pause = _seconds(response.headers.get("Retry-After"))
        if pause is None:
            pause = 2.0 ** request.meta.get("retry_times", 0)
        host, name = self._host(request), urlparse_cached(request).hostname
        host.closed_until = max(host.closed_until, time.monotonic() + pause)
        if pause > LONGEST_PAUSE:
            log.error("%s asks to be left alone for %.1f h; run again after that", name, pause / 3600)
        else:
            log.info("%s is busy (%d): nothing goes there for %g s", name, response.status, round(pause, 1))

    def _host(self, request: Request) -> _Host:
        return self.hosts[urlparse_cached(request).hostname or ""]


class MannerlyHandler(HTTP11DownloadHandler):
    """Sends a request when it is its turn: the last step before the wire, so that nothing can close the gap again."""

    def __init__(self, crawler: Crawler):
        super().__init__(crawler)
        manners = crawler.get_extension(Manners)
        assert manners is not None, "crawler.manners.Manners is not one of EXTENSIONS"
        self.manners = manners

    async def download_request(self, request: Request) -> Response:
        await self.manners.turn(request)
        response = await super().download_request(request)
        self.manners.heed(request, response)
        return response


def _seconds(retry_after: bytes | None) -> float | None:
    """What a Retry-After header asks for, from now on; None without one that can be read."""
    text = (retry_after or b"").decode("latin-1").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
