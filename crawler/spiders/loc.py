"""Photographs of the Library of Congress."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urldefrag, urlencode, urlsplit

from scrapy.exceptions import CloseSpider
from scrapy.http import Response
from w3lib.url import add_or_replace_parameters

from crawler.archive import Archive, address, web_address
from crawler.items import Photo
from crawler.rights import normalize
from crawler.values import listed, mapping, text, verbatim

LAST = 100_000  # the service lists no item after this one
PER_PAGE = 100
STATEMENTS = ("rights_advisory", "rights_information", "rights")  # from the most particular to the most general


class LibraryOfCongress(Archive):
    """``-a query=`` searches photographs, ``-a collection=`` names one, both search in it."""

    name = "loc"
    custom_settings = {"DOWNLOAD_SLOTS": {"www.loc.gov": {"concurrency": 1, "delay": 1.1, "jitter": 0}}}  # 10 in 10 s
    meta = {"autothrottle_dont_adjust_delay": True}

    def __init__(self, query: str = "", collection: str = "", site: str = "https://www.loc.gov", **unknown: str):
        super().__init__(**unknown)
        self.query, self.collection = query.strip(), collection.strip().strip("/")
        if not self.query and not self.collection:
            raise ValueError("loc needs -a query= or -a collection=, the name in the address of a collection's page")
        self.site = web_address(self.name, "site", site)

    async def start(self) -> AsyncIterator[Any]:
        path = f"collections/{quote(self.collection, safe='')}" if self.collection else "photos"
        asked = {"q": self.query, "fa": "online-format:image", "fo": "json", "c": PER_PAGE, "sp": 1}
        yield self.ask(f"{self.site}/{path}/?{urlencode({k: v for k, v in asked.items() if v})}", self.parse)

    def read(self, response: Response) -> dict[str, Any]:
        answer = super().read(response)
        if answer is None:
            self.logger.error(
                "the Library of Congress answered with a web page, probably a CAPTCHA: it has blocked this address "
                "for up to an hour; wait, then give the same command again to go on"
            )
            raise CloseSpider("blocked")
        return answer

    def parse(self, response: Response) -> Iterator[Any]:
        answer = self.read(response)
        yield from self.each(answer.get("results"), lambda result: self.result(result, response))
        pagination = mapping(answer.get("pagination"))
        if not (following := text(pagination.get("next"))):
            return
        url = add_or_replace_parameters(response.urljoin(following), {"fo": "json"})
        if PER_PAGE * (_page(url) - 1) >= LAST:
            self.logger.error(
                "the Library of Congress lists only the first %s of %s items; narrow the query to see the others",
                f"{LAST:,}",
                pagination.get("of"),
            )
        else:
            yield self.ask(url, self.parse)

    def parse_item(self, response: Response) -> Iterator[Any]:
        answer = self.read(response)
        record = {key: answer.get(key) for key in ("item", "resources")}  # the rest is about other items
        yield from self.each(record, lambda record: self.photo(record, response))

    def result(self, result: dict[str, Any], response: Response) -> Iterator[Any]:
        """A photo; a request for its own record where the search result says too little."""
        stated = any((result | mapping(result.get("item"))).get(name) for name in STATEMENTS)
        if stated and _picture(result):
            yield from self.photo(result, response)
        elif not _restricted(result) and "/item/" in (page := response.urljoin(result["id"])):
            yield self.ask(add_or_replace_parameters(page, {"fo": "json"}), self.parse_item)

    def photo(self, record: dict[str, Any], response: Response) -> Iterator[Photo]:
        picture = _picture(record)
        if _restricted(record) or not picture:
            return
        item = record | mapping(record.get("item"))
        page = text(record.get("id")) or text(item.get("id")) or text(item.get("url")) or response.url
        page = response.urljoin(page).partition("?")[0]
        creators = [mapping(creator).get("title", creator) for creator in listed(item.get("creators"))]
        rights = next((said for name in STATEMENTS if (said := text(item.get(name)))), None)
        yield Photo(
            url=address(response.urljoin(picture)),
            page_url=page,
            source=self.name,
            source_id=page.rstrip("/").rpartition("/")[2],
            title=text(item.get("title")),
            creator=text(creators) or text(item.get("contributor_names")) or text(item.get("contributor")),
            date=text(item.get("date")) or text(item.get("created_published_date")),
            license=rights,
            license_url=normalize(rights, None),
            category=self.collection or self.query,
            source_json=verbatim(record),
        )


def _restricted(record: dict[str, Any]) -> bool:
    said = [r.get("access_restricted") for r in (record, mapping(record.get("item")))]
    return any(value and value != "false" for value in said)


def _picture(record: dict[str, Any]) -> str | None:
    """The address of the largest JPEG of a record; an album's first sheet stands for it."""
    found: list[tuple[int, str]] = []
    for said in listed(record.get("image_url")) + listed(mapping(record.get("item")).get("image_url")):
        url, size = urldefrag(said) if isinstance(said, str) else ("", "")  # ...v.jpg#h=768&w=1024
        found.append((_area(parse_qs(size).get("w", [0])[0], parse_qs(size).get("h", [0])[0]), url))
    for resource in listed(record.get("resources"))[:1]:
        for sheet in listed(mapping(resource).get("files"))[:1]:
            for file in map(mapping, listed(sheet)):
                found.append((_area(file.get("width"), file.get("height")), text(file.get("url")) or ""))
    pictures = [(area, url) for area, url in found if urlsplit(url).path.lower().endswith((".jpg", ".jpeg"))]
    return max(reversed(pictures), key=lambda picture: picture[0], default=(0, None))[1]  # unmeasured: they grow


def _area(width: Any, height: Any) -> int:
    try:
        return int(width) * int(height)
    except (TypeError, ValueError):
        return 0


def _page(url: str) -> int:
    said = parse_qs(urlsplit(url).query).get("sp", ["1"])[0]
    return int(said) if said.isdecimal() else 1
