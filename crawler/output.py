"""The output root of a crawl: what the settings OUT and CONTACT turn into, and how a file of records gets there."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from scrapy.crawler import Crawler
from scrapy.extensions.feedexport import BlockingFeedStorage
from scrapy.settings import BaseSettings

from colorize_core import __version__
from colorize_core.records import RECORDS
from colorize_core.storage import Store

SCHEME = "records://"


class Output:
    """A Scrapy add-on: the feed of records and the User-Agent follow from OUT and CONTACT."""

    def update_settings(self, settings: BaseSettings) -> None:
        """Raises ValueError, with a sentence, when a crawl of these settings cannot start."""
        contact = (settings["CONTACT"] or "").strip()
        if not settings["OUT"]:
            raise ValueError("say where photographs go: -s OUT=folder, -s OUT=s3://bucket/prefix")
        if not contact:
            raise ValueError("say who is crawling: -s CONTACT=you@example.org, or the address of a page about you")
        if not ("@" in contact or "://" in contact) or not contact.isascii() or not contact.isprintable():
            raise ValueError(f"CONTACT={contact!r} is neither an e-mail address nor a URL")
        Store(settings["OUT"])
        run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        settings.set("RUN", run, "addon")
        settings.set("USER_AGENT", f"Autochrome/{__version__} (+{contact})", "project")
        settings.set("FEEDS", {f"{SCHEME}run={run}/%(batch_id)06d.parquet": {"format": "parquet"}}, "project")
        settings.set("DOWNLOAD_MAXSIZE", settings.getint("MAX_BYTES"), "project")
        settings.set("DOWNLOAD_WARNSIZE", settings.getint("MAX_BYTES"), "project")


class RecordStorage(BlockingFeedStorage):
    """Puts a finished file of records under OUT, whichever kind of place that is."""

    def __init__(self, uri: str, store: Store):
        self.key = f"{RECORDS}/{uri.removeprefix(SCHEME)}"
        self.store_ = store

    @classmethod
    def from_crawler(cls, crawler: Crawler, uri: str, *, feed_options: dict[str, Any] | None = None) -> RecordStorage:
        return cls(uri, Store(crawler.settings["OUT"]))

    def _store_in_thread(self, file: IO[bytes]) -> None:
        with file:
            file.flush()
            self.store_.put(self.key, Path(file.name), "application/vnd.apache.parquet")
