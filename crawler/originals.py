"""Originals: the bytes of photographs, fetched politely, found to be whole and kept exactly as they were served."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem
from scrapy.utils.defer import _schedule_coro

from colorize_core.header import Limits, Rejected
from colorize_core.records import RECORDS
from colorize_core.sandbox import Crashed, Sandbox, SandboxError
from colorize_core.storage import StorageError, Store
from colorize_core.workbench import scratch
from crawler import rights
from crawler.items import Photo
from crawler.ledger import ORIGINALS, Ledger
from crawler.loupe import Loupe
from crawler.reasons import Failed, answered, explained

EXTENSIONS = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".jp2", ".avif", ".gif", ".bmp"}
PIXELS = 300_000_000  # of one photo; more are rejected
MEMORY = (600 << 20) + 6 * PIXELS  # bytes that looking at one photo may take
SECONDS = 300.0  # that looking at one photo may take
STATUSES = ("stored", "duplicate", "metadata_only", "rejected", "failed")

log = logging.getLogger(__name__)


class Originals:
    """The item pipeline: every photo leaves it as a row with its final status, or is dropped because it has one."""

    def __init__(self, crawler: Crawler):
        settings = crawler.settings
        self.crawler = crawler
        self.run: str = settings["RUN"]
        self.gate = rights.Gate(settings.getlist("RIGHTS"))
        self.budget = settings.getint("CLOSESPIDER_ITEMCOUNT")
        self.taken: set[bytes] = set()
        self.store = Store(settings["OUT"])
        self.store.check(write=True)
        self.ledger = Ledger(self.store)
        self.folder = scratch()
        self.sandbox = Sandbox(Loupe, Limits(PIXELS, settings.getint("MAX_BYTES")), memory=MEMORY)
        crawler.signals.connect(self.clean_up, signals.engine_stopped)
        crawler.signals.connect(self.summarize, signals.feed_exporter_closed)
        self.hand = asyncio.Lock()  # one photo at a time is looked at and stored

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Originals:
        return cls(crawler)

    def open_spider(self) -> None:
        if self.ledger.known:
            log.info("%s: %d photos are known already", self.store.root, len(self.ledger.known))

    async def process_item(self, photo: Photo) -> Photo:
        sha1 = hashlib.sha1(photo.url.encode())
        photo.license_url = photo.license_url or rights.normalize(photo.license, None)
        allowed = self.gate.allows(photo.license_url)
        with self._underway():
            self._take(sha1.digest(), allowed)
            photo.url_sha1, photo.run = sha1.hexdigest(), self.run
            if allowed:
                await self._fetch(photo, sha1.digest())
            else:
                photo.status = "metadata_only"
        photo.crawled_at = datetime.now(UTC)
        self.crawler.stats.inc_value(f"photos/{photo.status}")
        if photo.error_class:
            log.info("%s %s: %s", photo.status, photo.url, photo.error_message)
        return photo

    def clean_up(self) -> None:
        self.sandbox.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def summarize(self) -> None:
        """The last words of a crawl, said when its records are stored."""
        count = self.crawler.stats.get_value
        counts = ", ".join(f"{count(f'photos/{status}', 0)} {status.replace('_', ' ')}" for status in STATUSES)
        log.info("%s; %d were known already", counts, count("photos/known", 0))
        if count("feedexport/failed_count/RecordStorage"):
            log.error("some records could not be stored: repeat the crawl, it records what is stored without a record")
        elif any(count(f"photos/{status}") for status in STATUSES):
            log.info("the records of this run are in %s", self.store.uri(f"{RECORDS}/run={self.run}"))

    def _take(self, sha1: bytes, allowed: bool) -> None:
        """Raises DropItem for a photo that is not to be done in this run."""
        known = self.ledger.known.get(sha1)
        if sha1 in self.taken:
            raise DropItem("met before in this run")
        if known and not (known == "metadata_only" and allowed):
            self.crawler.stats.inc_value("photos/known")
            raise DropItem("known already")
        if self.budget and len(self.taken) >= self.budget:
            raise DropItem("CLOSESPIDER_ITEMCOUNT is reached")
        self.taken.add(sha1)

    @contextmanager
    def _underway(self) -> Iterator[None]:
        """Keeps a crawl that is being closed open until this photo is done, and starts none after that.

        Scrapy waits for requests only: without one of its own a photo between two of them would lose the engine.
        """
        slot = self.crawler.engine._slot
        if slot is None or slot.closing is not None:
            raise DropItem("the crawl is ending")
        guard = Request("about:blank")
        slot.add_request(guard)
        try:
            yield
        finally:
            slot.remove_request(guard)

    async def _fetch(self, photo: Photo, sha1: bytes) -> None:
        try:
            body = None if sha1 in self.ledger.unrecorded else await self._download(photo.url)
            async with self.hand:
                await asyncio.to_thread(self._keep, photo, sha1, body)
        except (Rejected, SandboxError) as error:
            photo.status, photo.error_class, photo.error_message = "rejected", error.error_class, str(error)
        except Failed as error:
            photo.status, photo.error_class, photo.error_message = "failed", error.error_class, str(error)
        except StorageError as error:
            photo.status, photo.error_class, photo.error_message = "failed", "storage", str(error)
            log.error("%s", error)
            _schedule_coro(self.crawler.engine.close_spider_async(reason="storage"))
        except Exception as error:
            photo.status, photo.error_class, photo.error_message = "failed", "internal", repr(error)
            log.exception("%s", photo.url)

    async def _download(self, url: str) -> bytes:
        """The body served at an address. Raises Rejected for what will not change, Failed for what may."""
        try:
            request = Request(url, headers={"Accept": "image/*,*/*;q=0.5"}, meta={"allow_offsite": True})
            response = await self.crawler.engine.download_async(request)
        except Exception as error:
            raise explained(error) from error
        if response.status != 200:
            raise answered(response.status)
        return response.body

    def _keep(self, photo: Photo, sha1: bytes, body: bytes | None) -> None:
        """Look at a photo and store it, unless the same bytes are stored. Runs in a thread."""
        path = self.folder / sha1.hex()
        try:
            if body is None:
                photo.sha256 = self.store.fetch(self.ledger.unrecorded[sha1], path)
            else:
                path.write_bytes(body)
                photo.sha256 = hashlib.sha256(body).hexdigest()
            photo.size = path.stat().st_size
            photo.width, photo.height, photo.format = self._look(path)
            sha256 = bytes.fromhex(photo.sha256)
            if body is None:
                photo.status, photo.path = "stored", self.ledger.unrecorded[sha1].key
            elif twin := self.ledger.paths.get(sha256):
                photo.status, photo.path = "duplicate", twin
            else:
                key = f"{ORIGINALS}/{photo.url_sha1}{_extension(photo.url)}"
                self.store.put(key, path)
                photo.status, photo.path = "stored", key
            self.ledger.paths.setdefault(sha256, photo.path)
        finally:
            path.unlink(missing_ok=True)

    def _look(self, path: Path) -> tuple[int, int, str]:
        """Look where a file can do no harm; once more after a crash, which may not have been its doing."""
        try:
            return self.sandbox.call("look", path, seconds=SECONDS)
        except Crashed:
            return self.sandbox.call("look", path, seconds=SECONDS)


def _extension(url: str) -> str:
    extension = PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
    return extension if extension in EXTENSIONS else ""
