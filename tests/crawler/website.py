"""A web site in a process of its own, on loopback, that keeps a log of every request."""

from __future__ import annotations

import argparse
import asyncio
import email.utils
import importlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from aiohttp import web
from PIL import Image

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Site:
    """url: without a slash at the end. log: one line of JSON for each request: time, path, agent, status."""

    url: str
    log: Path

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def requests(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def paths(self) -> list[str]:
        return [request["path"] for request in self.requests()]

    def forget(self) -> None:
        self.log.write_text("")


@contextmanager
def serve(app_factory: str, folder: Path) -> Iterator[Site]:
    """Serve what ``module:function`` in this folder returns, a web.Application, and log to a file in `folder`."""
    log = folder / "requests.jsonl"
    log.touch()
    process = subprocess.Popen(
        [sys.executable, __file__, app_factory, str(log)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(HERE)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Site(f"http://127.0.0.1:{port}", log)
    finally:
        process.kill()
        process.wait()


def photograph(seed: int, width: int = 160, height: int = 120, format: str = "JPEG") -> bytes:
    """A picture in color, another for every seed."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
    sink = io.BytesIO()
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(sink, format, quality=90)
    return sink.getvalue()


def page(*elements: str, head: str = "") -> web.Response:
    body = "\n".join(elements)
    return web.Response(text=f"<html><head>{head}</head><body>{body}</body></html>", content_type="text/html")


PHOTOS = {f"p{i}.jpg": photograph(i) for i in range(12)}
TROUBLES = [
    "busy.jpg", "cut.jpg", "truncated.jpg", "notice.jpg", "twin-a.jpg", "twin-b.jpg", "huge.jpg", "missing.jpg",
    "broken.jpg", "inward.jpg", "moved.jpg", "private/secret.jpg",
]  # fmt: skip


def gallery() -> web.Application:
    """Three listing pages of four photos each, and everything that goes wrong."""
    routes = web.RouteTableDef()
    asked: dict[str, int] = {}

    def times(request: web.Request) -> int:
        asked[request.path] = asked.get(request.path, 0) + 1
        return asked[request.path]

    @routes.get("/robots.txt")
    async def robots(request: web.Request) -> web.Response:
        return web.Response(text="User-agent: *\nDisallow: /private/\nDisallow: /photos/private/\n")

    @routes.get("/list/{number}")
    async def listing(request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        items = [f'<a class=detail href="../item/p{i}">photo</a>' for i in range(number * 4, number * 4 + 4)]
        following = f'<a class=next href="/list/{number + 1}">next</a>' if number < 2 else ""
        return page(*items, following)

    @routes.get("/item/{name}")
    async def item(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return page(
            f"<h1> Photo <b>{name}</b></h1><p class=by>A. Person</p><time>1911</time>",
            '<a rel=license href="https://creativecommons.org/licenses/by-sa/4.0/deed.en">license</a>',
            f'<img class=full srcset="/photos/small.jpg 80w, {name}.jpg 160w">',
            head='<base href="/photos/">',
        )

    @routes.get("/troubles")
    async def troubles(request: web.Request) -> web.Response:
        return page(*(f'<img class=full src="/photos/{name}">' for name in TROUBLES))

    @routes.get("/calendar/{day}")
    async def calendar(request: web.Request) -> web.Response:
        tomorrow = int(request.match_info["day"]) + 1
        return page('<img class=full src="/photos/p0.jpg">', f'<a class=next href="{tomorrow}">tomorrow</a>')

    @routes.get("/few")
    async def few(request: web.Request) -> web.Response:
        names = request.query["names"].split(",")
        return page(*(f'<img class=full src="{name if "//" in name else f"/photos/{name}"}">' for name in names))

    @routes.get("/photos/busy.jpg")
    async def busy(request: web.Request) -> web.Response:
        if times(request) == 1:
            return web.Response(status=429, headers={"Retry-After": "2"})
        return jpeg(photograph(20))

    @routes.get("/photos/later.jpg")
    async def later(request: web.Request) -> web.Response:
        if times(request) == 1:
            moment = email.utils.formatdate(time.time() + 3, usegmt=True)
            return web.Response(status=503, headers={"Retry-After": moment})
        return jpeg(photograph(21))

    @routes.get("/photos/closed.jpg")
    async def closed(request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "7200"})

    @routes.get("/photos/cut.jpg")
    async def cut(request: web.Request) -> web.StreamResponse:
        whole = photograph(22)
        if times(request) > 1:
            return jpeg(whole)
        response = web.StreamResponse(headers={"Content-Length": str(len(whole)), "Content-Type": "image/jpeg"})
        await response.prepare(request)
        await response.write(whole[: len(whole) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    @routes.get("/photos/truncated.jpg")
    async def truncated(request: web.Request) -> web.Response:
        whole = photograph(23)
        return jpeg(whole[: len(whole) * 2 // 3])

    @routes.get("/photos/notice.jpg")
    async def notice(request: web.Request) -> web.Response:
        return jpeg(b"<!doctype html><html><body>Too many requests, please prove that you are human.</body></html>")

    @routes.get("/photos/twin-{which}.jpg")
    async def twin(request: web.Request) -> web.Response:
        return jpeg(photograph(24))

    @routes.get("/photos/huge.jpg")
    async def huge(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(10**12), "Content-Type": "image/jpeg"})
        await response.prepare(request)
        await asyncio.sleep(30)
        return response

    @routes.get("/photos/endless.jpg")
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(bytes(65536))
        return response

    @routes.get("/photos/dropped.jpg")
    async def dropped(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    @routes.get("/photos/slow.jpg")
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return jpeg(photograph(25))

    @routes.get("/photos/broken.jpg")
    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=500)

    @routes.get("/photos/inward.jpg")
    async def inward(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://127.0.0.2:{request.url.port}/photos/p0.jpg")

    @routes.get("/photos/moved.jpg")
    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPMovedPermanently("/photos/p3.jpg")

    @routes.get("/photos/{name}")
    async def photo(request: web.Request) -> web.Response:
        if (data := PHOTOS.get(request.match_info["name"])) is None:
            raise web.HTTPNotFound
        return jpeg(data)

    application = web.Application()
    application.add_routes(routes)
    return application


def slow_gallery() -> web.Application:
    """Like ``gallery``, but robots.txt asks for a pace."""
    inner = gallery()

    async def robots(request: web.Request) -> web.Response:
        return web.Response(text="User-agent: *\nCrawl-delay: 0.7\n")

    application = web.Application()
    application.router.add_get("/robots.txt", robots)
    for route in inner.router.routes():
        if route.method == "GET" and route.resource and route.resource.canonical != "/robots.txt":
            application.router.add_get(route.resource.canonical, route.handler)
    return application


def jpeg(data: bytes) -> web.Response:
    return web.Response(body=data, content_type="image/jpeg")


def _logging(log: Path):
    @web.middleware
    async def middleware(request: web.Request, handler) -> web.StreamResponse:
        entry = {"time": time.time(), "path": request.path, "agent": request.headers.get("User-Agent")}
        with log.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        return await handler(request)

    return middleware


async def _run(application: web.Application, log: Path) -> None:
    application.middlewares.append(_logging(log))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("app_factory")
    parser.add_argument("log", type=Path)
    args = parser.parse_args()
    module, function = args.app_factory.split(":")
    asyncio.run(_run(getattr(importlib.import_module(module), function)(), args.log))


if __name__ == "__main__":
    main()
