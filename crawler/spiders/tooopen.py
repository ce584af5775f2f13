"""Nature photographs from the index pages of tooopen.com."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Selector
from scrapy.http import Response, TextResponse

from crawler.archive import Archive, number, web_address
from crawler.items import Photo
from crawler.values import text

# the innermost of the elements that hold a picture
PICTURE = '//*[contains(@class, "pic")][.//img][not(.//*[contains(@class, "pic")][.//img])]'


class Tooopen(Archive):
    """``-a pages=``: how many index pages at most. The site states no license, so nothing is known about rights."""

    name = "tooopen"

    def __init__(self, site: str = "http://www.tooopen.com", pages: str = "100", **unknown: str):
        super().__init__(**unknown)
        self.site = web_address(self.name, "site", site)
        self.pages = number(self.name, "pages", pages, 1)

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask(f"{self.site}/img/87.aspx", self.parse, page=0)

    def parse(self, response: Response, page: int) -> Iterator[Any]:
        if not isinstance(response, TextResponse):
            self.logger.error("%s is not a page of HTML", response.url)
            return
        pictures = response.xpath(PICTURE)
        yield from self.each(pictures, lambda picture: self.photos(picture, response))
        if not pictures:
            self.logger.info("%s shows no pictures: the last page", response.url)
        elif page + 1 < self.pages:
            yield self.ask(f"{self.site}/img/87_0_1_{page + 1}.aspx", self.parse, page=page + 1)

    def photos(self, picture: Selector, response: TextResponse) -> Iterator[Photo]:
        for source in picture.xpath(".//img[@src]"):
            url = response.urljoin(source.attrib["src"])
            if url.startswith(("http://", "https://")):
                yield Photo(
                    url=url,
                    page_url=response.urljoin(picture.xpath(".//@href").get() or ""),
                    source=self.name,
                    title=text(source.attrib.get("alt")),
                    category=text(picture.xpath("./p[1]/text()").get()),
                )
