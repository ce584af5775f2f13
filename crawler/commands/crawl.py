"""``scrapy crawl`` with exit codes: 0 all went well, 1 an error was logged, 2 asked for the impossible."""

from __future__ import annotations

import argparse
import asyncio
import logging

from scrapy.commands import crawl
from scrapy.exceptions import UsageError

from colorize_core.storage import StorageError

log = logging.getLogger(__name__)


class Command(crawl.Command):
    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if len(args) != 1:
            raise UsageError("name one spider; 'scrapy list' shows them")
        process = self.crawler_process
        assert process is not None
        try:
            crawler = process.create_crawler(args[0])
        except KeyError:
            raise UsageError(f"there is no spider {args[0]!r}; 'scrapy list' shows them") from None
        crawled = process.crawl(crawler, **opts.spargs)
        assert isinstance(crawled, asyncio.Task)
        process.start()
        error = crawled.exception()
        if isinstance(error, (ValueError, StorageError)):
            raise UsageError(str(error))
        if error is not None:
            raise error
        if any(map(crawler.stats.get_value, ("log_count/ERROR", "feedexport/failed_count/RecordStorage"))):
            self.exitcode = 1
