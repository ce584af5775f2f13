"""Brevity in the log: what goes wrong every day on a network takes a line, not a traceback."""

from __future__ import annotations

import logging

from crawler.reasons import explained

SHORTENED = {
    "scrapy.downloadermiddlewares.robotstxt": "Error downloading",
    "scrapy.extensions.feedexport": "Error storing",
}
UNSAID = {
    "twisted": ("while verifying certificate",),
    "scrapy.core.downloader.handlers.http11": ("Got data loss", "Expected to receive", "Received"),
}


class Brevity(logging.Filter):
    """A Scrapy extension in the way of log records that advise against keeping photos whole, or show tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        for name in (*SHORTENED, *UNSAID):
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name in UNSAID:
            return not str(record.msg).startswith(UNSAID[record.name])
        if record.exc_info and str(record.msg).startswith(SHORTENED[record.name]):
            assert record.exc_info[1] is not None
            why = explained(record.exc_info[1])
            if isinstance(record.args, dict) and "request" in record.args:
                record.args = (f"cannot read the robots.txt that {record.args['request'].url} is under: {why}",)
            else:
                record.args = (f"{record.getMessage()}: {why}",)
            record.msg, record.exc_info = "%s", None
        return True
