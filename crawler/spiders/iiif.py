"""Photographs of any library that publishes them by IIIF."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

from scrapy.http import Request, Response

from crawler.archive import Archive, address, number, web_address
from crawler.items import Photo
from crawler.rights import normalize
from crawler.values import listed, mapping, text, verbatim

CREATORS = ("photographer", "creator", "artist", "author", "maker")
DATES = ("date", "created", "date created", "date of creation", "creation date")
CONTENTS = ("items", "sequences", "structures", "collections", "manifests", "members", "annotations")
WHOLE = {3: "max", 2: "full", 1: "full"}  # how each version of the Image API asks for the full size


class Iiif(Archive):
    """``-a manifest=`` is the address of a manifest or of a collection, which is followed all the way down.

    ``-a size=`` asks image services for pictures of so many pixels on their longer side.
    """

    name = "iiif"

    def __init__(self, manifest: str | None = None, size: str | None = None, **unknown: str):
        super().__init__(**unknown)
        self.manifest = web_address(self.name, "manifest", manifest)
        self.size = number(self.name, "size", size, 1) if size else None
        self.visited: set[str] = set()

    async def start(self) -> AsyncIterator[Any]:
        for request in self.visit(self.manifest):
            yield request

    def visit(self, reference: Any) -> Iterator[Request]:
        """A request for a manifest or collection that has not been met, named by its address or by an object."""
        url = address(_id(reference) or reference).partition("#")[0]
        if url not in self.visited:
            self.visited.add(url)
            yield self.ask(url, self.parse)

    def parse(self, response: Response) -> Iterator[Any]:
        answer = self.read(response)
        if answer is not None:
            yield from self.follow(answer, response.url)

    def follow(self, resource: dict[str, Any], url: str) -> Iterator[Any]:
        kind = _type(resource)
        if kind.endswith("Collection"):
            for part in ("items", "collections", "manifests", "members", "first", "next"):
                yield from self.each(resource.get(part), self.visit)
        elif kind.endswith("Manifest"):
            sequences = [c for s in listed(resource.get("sequences")) for c in listed(mapping(s).get("canvases"))]
            canvases = sequences or listed(resource.get("items"))
            yield from self.each(canvases, lambda canvas: self.photos(canvas, resource, url, len(canvases) > 1))
        else:
            self.logger.error("%s is neither a manifest nor a collection of IIIF (type %r)", url, kind)

    def photos(self, canvas: dict[str, Any], manifest: dict[str, Any], url: str, several: bool) -> Iterator[Photo]:
        stated = (text(r.get(name)) for r in (canvas, manifest) for name in ("rights", "license"))
        rights = next(filter(None, stated), None)
        statement = mapping(manifest.get("requiredStatement")).get("value") or manifest.get("attribution")
        said, part = label(statement), label(canvas.get("label"))
        title = label(manifest.get("label"))
        named = {**metadata(manifest), **metadata(canvas)}
        landing = listed(manifest.get("homepage")) + listed(manifest.get("related"))
        pages = [p for link in landing if (p := text(_id(link) or link)) and p.startswith(("http://", "https://"))]
        for body in bodies(canvas):
            yield Photo(
                url=self.picture(body),
                page_url=pages[0] if pages else url,
                source=urlsplit(url).hostname or self.name,
                source_id=text(_id(canvas)),
                title=", ".join(filter(None, (title, part if several else None))) or part,
                creator=next((named[name] for name in CREATORS if name in named), None),
                date=next((named[name] for name in DATES if name in named), None) or _day(manifest),
                license=said or rights,
                license_url=normalize(said, rights),
                category=self.manifest,
                source_json=verbatim({k: v for k, v in manifest.items() if k not in CONTENTS} | {"canvas": canvas}),
            )

    def picture(self, body: dict[str, Any]) -> str:
        """The address of a body's picture, from its image service where that can make the wanted size."""
        for service in map(mapping, listed(body.get("service"))):
            version, base = _image_api(service), text(_id(service))
            if not version or not base or any("level0" in str(p) for p in listed(service.get("profile"))):
                continue
            longest = max((n for n in (body.get("width"), body.get("height")) if isinstance(n, int)), default=None)
            scaled = self.size and (longest is None or longest > self.size)
            size = f"!{self.size},{self.size}" if scaled else WHOLE[version]
            return f"{address(base).rstrip('/')}/full/{size}/0/{'native' if version == 1 else 'default'}.jpg"
        return address(_id(body))


def label(value: Any) -> str | None:
    """Text in English, else in the first language there is, of any of the ways IIIF writes it."""
    if isinstance(value, dict) and "@value" not in value:
        english = [key for key in value if key == "en" or key.startswith("en-")]
        return next((said for key in [*english, "none", *value] if (said := text(value.get(key)))), None)
    parts = [(mapping(v).get("@language"), mapping(v).get("@value", v)) for v in listed(value)]
    english = [said for language, said in parts if str(language).startswith("en")]
    return text(english or [said for language, said in parts if language in (None, parts[0][0])])


def metadata(resource: dict[str, Any]) -> dict[str, str]:
    """The descriptive pairs of a manifest or canvas, label in lower case -> value."""
    pairs = [(label(m.get("label")), label(m.get("value"))) for m in map(mapping, listed(resource.get("metadata")))]
    return {name.lower().rstrip(":"): value for name, value in reversed(pairs) if name and value}


def bodies(canvas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pictures painted on a canvas; of several to choose from, the first."""
    painted = [mapping(i).get("resource") for i in listed(canvas.get("images"))]
    for page in listed(canvas.get("items")):
        for annotation in map(mapping, listed(mapping(page).get("items"))):
            if "painting" in listed(annotation.get("motivation", "painting")):
                painted += listed(annotation.get("body"))
    for body in painted:
        if _type(mapping(body)).endswith("Choice"):
            body = next(iter(listed(mapping(body).get("default")) + listed(mapping(body).get("items"))), None)
        body = mapping(body) or {"id": text(body)}
        if _type(body) in ("", "Image", "dctypes:Image") and (_id(body) or body.get("service")):
            yield body


def _image_api(service: dict[str, Any]) -> int | None:
    """The version of the Image API that a service speaks; None for one of another kind."""
    said = " ".join(map(str, (_type(service), service.get("@context"), service.get("profile"))))
    if "ImageService3" in said or "api/image/3" in said:
        return 3
    if "ImageService2" in said or "api/image/2" in said:
        return 2
    return 1 if "ImageService1" in said or "image-api/1" in said else None


def _id(resource: Any) -> Any:
    return mapping(resource).get("id") or mapping(resource).get("@id")


def _type(resource: dict[str, Any]) -> str:
    return text(resource.get("type") or resource.get("@type")) or ""


def _day(manifest: dict[str, Any]) -> str | None:
    said = text(manifest.get("navDate"))
    return said[:10] if said else None
