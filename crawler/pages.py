"""Pages that lead to photographs: one that cannot be read is an error, said in a sentence."""

from __future__ import annotations

import logging

from scrapy import Request
from scrapy.http import Response
from scrapy.spidermiddlewares.base import BaseSpiderMiddleware
from twisted.python.failure import Failure

from crawler.reasons import explained

log = logging.getLogger(__name__)


class Pages(BaseSpiderMiddleware):
    """A spider middleware that gives every request of a spider an end to run to, unless it has one."""

    def get_processed_request(self, request: Request, response: Response | None) -> Request | None:
        return request if request.errback else request.replace(errback=self.unread)

    def unread(self, failure: Failure) -> None:
        assert failure.value is not None
        log.error("cannot read %s: %s", failure.request.url, explained(failure.value))  # type: ignore[attr-defined]
