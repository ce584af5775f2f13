"""Any gallery on the web, by CSS selectors: ``scrapy crawl gallery -a start=URL -a photo='img.full::attr(src)'``.

start     where the listing begins
photo     selects the addresses of pictures; of a srcset the largest is taken
item      selects links to pages of single photos; without it, photos are taken from the listing itself
next      selects the link to the next page of the listing
title, creator, date, license   select what is said of a photo: one for each photo of a page, or one for all
rights    the rights of everything on the site, when the site says so once
category  a word to keep with every photo
pages     how many pages of the listing to read at most; 1000
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

from parsel.csstranslator import HTMLTranslator
from scrapy import Request, Spider
from scrapy.http import HtmlResponse, Response

from crawler import rights
from crawler.items import Photo

BARREN = 5  # pages in a row without a new photo after which a listing has ended
CANDIDATE = re.compile(r"(\S*[^,\s])(?:\s+([\d.]+)[wxh])?[^,]*(?:,|$)")
SAID = ("title", "creator", "date", "license")


class Gallery(Spider):
    name = "gallery"

    def __init__(
        self,
        start: str = "",
        photo: str = "",
        item: str = "",
        next: str = "",
        rights: str = "",
        category: str | None = None,
        pages: str = "1000",
        **said: Any,
    ):
        """Raises ValueError, with a sentence, for arguments that cannot work."""
        super().__init__()
        if urlsplit(start).scheme not in ("http", "https"):
            raise ValueError("say where to start: -a start=https://…")
        if not photo:
            raise ValueError("say what selects the pictures: -a photo='img.full::attr(src)'")
        if unknown := sorted(set(said) - set(SAID)):
            raise ValueError(f"gallery has no argument {unknown[0]}")
        if not pages.isdecimal() or not int(pages):
            raise ValueError(f"pages={pages} is not a number of pages")
        for name, selector in {"photo": photo, "item": item, "next": next, **said}.items():
            _check(name, selector, link=name not in SAID)
        self.start_url, self.pages, self.category = start, int(pages), category
        self.photo, self.item, self.next, self.said = photo, item, next, said
        self.rights, self.rights_url = rights, _rights(rights)
        self.listed = 0
        self.seen: set[str] = set()

    async def start(self) -> AsyncIterator[Any]:
        yield Request(self.start_url, self.parse, meta={"allow_offsite": True}, cb_kwargs={"barren": 0})

    def parse(self, response: Response, barren: int) -> Iterator[Any]:
        """A page of the listing, after so many in a row that brought nothing new."""
        self.listed += 1
        if not isinstance(response, HtmlResponse):
            self.logger.error("%s is not a page of HTML", response.url)
            return
        before = len(self.seen)
        if self.item:
            for link in self._links(response, self.item):
                if link not in self.seen:
                    self.seen.add(link)
                    yield Request(link, self.parse_item, priority=1)
        else:
            yield from self.parse_item(response)
        barren = barren + 1 if len(self.seen) == before else 0
        if barren >= BARREN:
            self.logger.info("the listing ends here: %d pages in a row brought no new photo", BARREN)
        elif self.listed < self.pages:
            for link in self._links(response, self.next) if self.next else ():
                yield Request(link, self.parse, cb_kwargs={"barren": barren})

    def parse_item(self, response: Response) -> Iterator[Photo]:
        """A page with photos."""
        if not isinstance(response, HtmlResponse):
            self.logger.error("%s is not a page of HTML", response.url)
            return
        links = self._links(response, self.photo)
        said = {name: _texts(response, selector) for name, selector in self.said.items()}
        for i, link in enumerate(links):
            if link in self.seen:
                continue
            self.seen.add(link)
            of_this = {name: _one(texts, i, len(links)) for name, texts in said.items()}
            license = of_this.get("license")
            yield Photo(
                url=link,
                page_url=response.url,
                source=urlsplit(self.start_url).hostname or self.name,
                license=license or self.rights or None,
                license_url=rights.normalize(license, None) if license else self.rights_url,
                title=of_this.get("title"),
                creator=of_this.get("creator"),
                date=of_this.get("date"),
                category=self.category,
            )

    def _links(self, response: HtmlResponse, selector: str) -> list[str]:
        """Absolute addresses of what a selector finds."""
        found = [_largest(text) if "srcset" in selector else text.strip() for text in response.css(selector).getall()]
        links = []
        for text in found:
            try:
                link = response.urljoin(text).partition("#")[0]
            except ValueError:
                continue
            if text and urlsplit(link).scheme in ("http", "https"):
                links.append(link)
        return links


def _check(name: str, selector: str, link: bool) -> None:
    if not selector:
        return
    try:
        HTMLTranslator().css_to_xpath(selector)
    except Exception as error:
        raise ValueError(f"{name}={selector} is not a CSS selector: {error}") from None
    if link and "::attr(" not in selector:
        raise ValueError(f"{name}={selector} selects elements, not addresses: end it with ::attr(src) or ::attr(href)")


def _rights(text: str) -> str | None:
    url = rights.normalize(text, None) if text else None
    if text and not url:
        example = "https://creativecommons.org/publicdomain/mark/1.0/"
        raise ValueError(f"rights={text} is no statement of rights that is known here; one is {example}")
    return url


def _texts(response: HtmlResponse, selector: str) -> list[str]:
    found = response.css(selector)
    texts = found.getall() if "::" in selector else [element.xpath("string(.)").get() or "" for element in found]
    return [" ".join(text.split()) for text in texts]


def _one(texts: list[str], i: int, photos: int) -> str | None:
    """What is said of photo i: there is one text for each photo of the page, or one for all."""
    if len(texts) == photos:
        return texts[i] or None
    return texts[0] or None if len(texts) == 1 or photos == 1 and texts else None


def _largest(srcset: str) -> str:
    """The candidate with the greatest width or density."""
    candidates = CANDIDATE.findall(srcset)
    return max(candidates, key=lambda c: float(c[1] or 1))[0] if candidates else ""
