"""Photographs of the Internet Archive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from scrapy.http import Request, Response

from crawler.archive import Archive, web_address
from crawler.items import Photo
from crawler.rights import normalize
from crawler.values import mapping, text, verbatim

FORMATS = {"jpeg", "png", "tiff", "jpeg 2000", "jpeg2000", "webp", "avif", "bitmap", "gif"}
PER_PAGE = 1000


class InternetArchive(Archive):
    """``-a query=`` in the archive's search syntax, ``-a collection=`` names one, both search in it."""

    name = "internet_archive"

    def __init__(self, query: str = "", collection: str = "", site: str = "https://archive.org", **unknown: str):
        super().__init__(**unknown)
        self.query, self.collection = query.strip(), collection.strip()
        if not self.query and not self.collection:
            raise ValueError("internet_archive needs -a query= or -a collection=, a collection's identifier")
        self.site = web_address(self.name, "site", site)

    async def start(self) -> AsyncIterator[Any]:
        yield self.scrape({})

    def scrape(self, cursor: dict[str, str]) -> Request:
        terms = [f"({self.query})"] * bool(self.query) + [f"collection:{self.collection}"] * bool(self.collection)
        asked = {"q": " AND ".join([*terms, "mediatype:image"]), "fields": "identifier", "count": PER_PAGE} | cursor
        return self.ask(f"{self.site}/services/search/v1/scrape?{urlencode(asked)}", self.parse)

    def parse(self, response: Response) -> Iterator[Any]:
        answer = self.read(response)
        if answer is None:
            return
        if error := answer.get("error"):
            self.logger.error("the search failed: %s", text(error) or "no reason given")
        yield from self.each(answer.get("items"), self.item)
        if cursor := text(answer.get("cursor")):
            yield self.scrape({"cursor": cursor})

    def item(self, found: dict[str, Any]) -> Iterator[Request]:
        yield self.ask(f"{self.site}/metadata/{quote(found['identifier'], safe='')}", self.parse_item)

    def parse_item(self, response: Response) -> Iterator[Photo]:
        answer = self.read(response)
        item = mapping(mapping(answer).get("metadata"))
        if not answer or answer.get("is_dark") or text(item.get("access-restricted-item")) == "true":
            return
        yield from self.each(answer.get("files"), lambda file: self.photo(file, item))

    def photo(self, file: dict[str, Any], item: dict[str, Any]) -> Iterator[Photo]:
        """Nothing for derivatives, thumbnails, text, and files that the item keeps to itself."""
        original = file.get("source") == "original" and text(file.get("private")) != "true"
        if not original or str(file.get("format")).lower() not in FORMATS:
            return
        identifier, name = item["identifier"], file["name"]
        said = text(item.get("rights")) or text(item.get("possible-copyright-status"))
        license_url = text(item.get("licenseurl"))
        yield Photo(
            url=f"{self.site}/download/{quote(identifier, safe='')}/{quote(name)}",
            page_url=f"{self.site}/details/{quote(identifier, safe='')}",
            source=self.name,
            source_id=f"{identifier}/{name}",
            title=text(file.get("title")) or text(item.get("title")),
            creator=text(file.get("creator")) or text(item.get("creator")),
            date=text(item.get("date")),
            license=said or license_url,
            license_url=normalize(said, license_url),
            category=self.query or self.collection,
            source_json=verbatim({"metadata": item, "file": file}),
        )
