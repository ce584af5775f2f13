"""Photographs of a Wikimedia Commons category."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.http import Request, Response
from w3lib.url import add_or_replace_parameters

from crawler.archive import Archive, address, number, web_address
from crawler.items import Photo
from crawler.rights import normalize
from crawler.values import listed, mapping, text, verbatim

WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)  # px; the server refuses to make others
PASSING = ("maxlag", "ratelimited", "readonly")  # API errors that a later request may not meet
ASKED = {"action": "query", "format": "json", "formatversion": "2", "maxlag": "5"}
FILES = {
    "generator": "categorymembers",
    "gcmtype": "file",
    "gcmlimit": "50",  # what the API's users are asked to keep to with extmetadata
    "prop": "imageinfo",
    "iiprop": "url|size|mime|sha1|mediatype|extmetadata",
}
SUBCATEGORIES = {"list": "categorymembers", "cmtype": "subcat", "cmlimit": "500"}


class Commons(Archive):
    """``-a category=``, and ``-a recursive=1`` for those below it, ``-a depth=`` levels deep.

    ``-a width=`` takes pictures scaled to one of ``WIDTHS`` pixels, where the original is wider.
    """

    name = "commons"
    meta = {"dont_obey_robotstxt": True}  # which closes the API to search engines; programs are what it is for

    def __init__(
        self,
        category: str = "",
        recursive: str = "0",
        depth: str = "5",
        width: str | None = None,
        api: str = "https://commons.wikimedia.org/w/api.php",
        **unknown: str,
    ):
        super().__init__(**unknown)
        if not (title := _title(category)):
            raise ValueError("commons needs -a category=, the name of a category of Wikimedia Commons")
        if recursive not in ("0", "1"):
            raise ValueError(f"commons takes -a recursive=0 or 1; got {recursive!r}")
        if width is not None and width not in map(str, WIDTHS):
            raise ValueError(f"commons takes -a width= one of {', '.join(map(str, WIDTHS))} pixels; got {width!r}")
        self.category = title
        self.depth = number(self.name, "depth", depth, 0) if recursive == "1" else 0
        self.width = int(width) if width else None
        self.api = web_address(self.name, "api", api)
        self.visited: set[str] = set()

    async def start(self) -> AsyncIterator[Any]:
        for request in self.visit(self.category, 0):
            yield request

    def visit(self, category: str, level: int) -> Iterator[Request]:
        if category in self.visited:
            return
        self.visited.add(category)
        files = FILES | {"gcmtitle": f"Category:{category}"} | ({"iiurlwidth": str(self.width)} if self.width else {})
        yield self.query(files, self.files, category=category)
        if level < self.depth:
            below = SUBCATEGORIES | {"cmtitle": f"Category:{category}"}
            yield self.query(below, self.subcategories, level=level)

    def query(self, wanted: dict[str, str], take: Callable, **context: Any) -> Request:
        url = add_or_replace_parameters(self.api, ASKED | wanted)
        return self.ask(url, self.parse, wanted=wanted, take=take, context=context)

    async def parse(self, response: Response, wanted: dict, take: Callable, context: dict) -> AsyncIterator[Any]:
        """One part of an answer: what ``take`` finds in it, and a request for the next part."""
        answer = self.read(response)
        if answer is None or "error" in answer:
            if request := await self.again(response, answer):
                yield request
            return
        for found in take(mapping(answer.get("query")), wanted, **context):
            yield found
        if more := mapping(answer.get("continue")):
            yield self.query(wanted | more, take, **context)

    def files(self, found: dict[str, Any], wanted: dict[str, str], category: str) -> Iterator[Photo]:
        if not found.get("pages") and "gcmcontinue" not in wanted:
            self.logger.warning("Category:%s has no files, or there is no such category", category)
        yield from self.each(found.get("pages"), lambda page: self.photo(page, category))

    def subcategories(self, found: dict[str, Any], wanted: dict[str, str], level: int) -> Iterator[Request]:
        members = found.get("categorymembers")
        yield from self.each(members, lambda member: self.visit(_title(member["title"]), level + 1))

    def photo(self, page: dict[str, Any], category: str) -> Iterator[Photo]:
        """Nothing for a page whose picture comes with another part of the answer, and for what is no bitmap."""
        if "imageinfo" not in page:
            return
        info = mapping(listed(page["imageinfo"])[0])
        if info.get("mediatype") != "BITMAP":
            return
        said = {key: text(mapping(value).get("value")) for key, value in mapping(info.get("extmetadata")).items()}
        scaled = self.width is not None and self.width < info["width"] and info.get("thumburl")
        name = text(page["title"]) or ""
        license = said.get("LicenseShortName") or said.get("UsageTerms")
        yield Photo(
            url=address(scaled or info["url"]).partition("?")[0],  # what follows only counts visits
            page_url=address(info["descriptionurl"]),
            source=self.name,
            source_id=name,
            title=said.get("ObjectName") or name.removeprefix("File:"),
            creator=said.get("Artist"),
            date=said.get("DateTimeOriginal"),
            license=license,
            license_url=normalize(license, said.get("LicenseUrl")),
            category=category,
            source_json=verbatim(page),
        )

    async def again(self, response: Response, answer: dict[str, Any] | None) -> Request | None:
        """The same request after the pause that the server asks for, unless the error would only come again."""
        error = mapping(mapping(answer).get("error"))
        code = str(error.get("code", "not JSON"))
        if code in PASSING or code.startswith("internal_api_error"):
            after = response.headers.get("Retry-After") or b"5"
            await asyncio.sleep(min(int(after), 120) if after.isdigit() else 5)
            assert response.request is not None
            if request := get_retry_request(response.request, spider=self, reason=code):
                self.logger.info("the API is busy (%s); asking again", code)
                return request
        if answer is not None:
            self.logger.error("the API refused (%s: %s) for %s", code, text(error.get("info")), response.url)
        return None


def _title(category: str) -> str:
    """A category's name as the API gives it, without its namespace."""
    return " ".join(category.replace("_", " ").split()).removeprefix("Category:").strip()
