"""Five archives at one address, which answer in the shapes of the real ones."""

from __future__ import annotations

import zlib
from typing import Any

from aiohttp import web
from website import jpeg, page, photograph

CC = "http://creativecommons.org/licenses/"
ROBOTS = "User-agent: *\nDisallow: /w/\n"
CAPTCHA = "<html><body>Please show that you are human.</body></html>"


def archives() -> web.Application:
    application = web.Application()
    for routes in (pictures, tooopen, commons, loc, internet_archive, iiif):
        application.add_routes(routes())
    return application


def pictures() -> web.RouteTableDef:
    routes = web.RouteTableDef()

    @routes.get("/robots.txt")
    async def robots(request: web.Request) -> web.Response:
        return web.Response(text=ROBOTS)

    @routes.get("/pictures/{name:.+}")
    @routes.get("/download/{name:.+}")
    @routes.get("/image/{name:.+}")
    async def picture(request: web.Request) -> web.Response:
        return jpeg(photograph(zlib.crc32(request.path.encode())))

    return routes


def tooopen() -> web.RouteTableDef:
    """Two pages of pictures, then one without."""
    routes = web.RouteTableDef()

    def pic(source: str, name: str) -> str:
        image = f'<img src="{source}" alt="{name}">'
        return f'<div class="pic-box"><p>自然风光</p><p>2016</p><a href="/view/{name}.aspx">{image}</a></div>'

    @routes.get("/img/87.aspx")
    async def first(request: web.Request) -> web.Response:
        wrong = (
            '<div class="pic-box"><a href="/view/none.aspx">no picture</a></div>',
            pic("data:image/gif;base64,R0", "x"),
        )
        return page(
            '<div class="pic-list">',
            pic("/pictures/lake.jpg", "lake"),
            pic("../pictures/dune.jpg", "dune"),
            *wrong,
            "</div>",
        )

    @routes.get("/img/87_0_1_1.aspx")
    async def second(request: web.Request) -> web.Response:
        return page(pic("/pictures/lake.jpg", "lake"), pic("/pictures/wood.jpg", "wood"))

    @routes.get("/img/87_0_1_{number}.aspx")
    async def others(request: web.Request) -> web.Response:
        return page("<p>nothing here</p>")

    return routes


def commons() -> web.RouteTableDef:
    """Category:Trees, and Oaks below it, below which is Trees again."""
    routes = web.RouteTableDef()
    lags = [True]

    def file(request: web.Request, number: int, name: str, said: dict[str, str], **info: Any) -> dict[str, Any]:
        at = str(request.url.origin())
        upload = f"{at}/pictures/{name.replace(' ', '_')}"
        thumbnail = {"thumburl": f"{upload}/960px.jpg?utm_source=commons"} if "iiurlwidth" in request.query else {}
        described = {key: {"value": value, "source": "commons-desc-page"} for key, value in said.items()}
        return {"pageid": number, "ns": 6, "title": f"File:{name}", "imageinfo": [{
            "size": 4_000_000, "width": 4000, "height": 3000, "mime": "image/jpeg", "mediatype": "BITMAP",
            "url": upload, "sha1": f"{number:040x}", "descriptionurl": f"{at}/wiki/File:{name.replace(' ', '_')}",
            "extmetadata": described, **thumbnail, **info,
        }]}  # fmt: skip

    def files(request: web.Request) -> dict[str, Any]:
        oak = file(request, 1, "Oak at dawn.jpg", {
            "LicenseShortName": "CC BY-SA 3.0 de", "LicenseUrl": CC + "by-sa/3.0/de/deed.en",
            "ObjectName": "Oak at dawn",
            "Artist": '<a href="//commons.wikimedia.org/wiki/User:X" title="User:X">Käthe &amp; Ann</a>',
            "DateTimeOriginal": '<time datetime="1911">1911</time><div style="display: none;">date QS:P571,+1911</div>',
        })  # fmt: skip
        beech = file(request, 2, "Beech.jpg", {"LicenseShortName": "Public domain"}, width=800, height=600)
        drawing = file(request, 3, "Tree.svg", {"LicenseShortName": "CC0"}, mediatype="DRAWING")
        gfdl = file(request, 4, "Elm.jpg", {"LicenseShortName": "GFDL", "UsageTerms": "GNU Free Documentation License"})
        acorn = file(
            request,
            5,
            "Acorn.jpg",
            {"LicenseShortName": "CC0", "LicenseUrl": "http://creativecommons.org/publicdomain/zero/1.0/deed.en"},
        )
        match request.query["gcmtitle"], request.query.get("gcmcontinue"), request.query.get("iicontinue"):
            case "Category:Trees", None, None:
                rest = {"iicontinue": "Beech.jpg|2", "continue": "||"}
                return {
                    "continue": rest,
                    "query": {"pages": [oak, {k: v for k, v in beech.items() if k != "imageinfo"}]},
                }
            case "Category:Trees", None, _:
                rest = {"gcmcontinue": "file|42|7", "continue": "gcmcontinue||"}
                return {"batchcomplete": True, "continue": rest, "query": {"pages": [beech]}}
            case "Category:Trees", _, _:
                broken = {
                    "pageid": 9,
                    "title": "File:Broken.jpg",
                    "imageinfo": [{"mediatype": "BITMAP", "extmetadata": []}],
                }
                return {"batchcomplete": True, "query": {"pages": [broken, drawing, gfdl]}}
            case "Category:Oaks", _, _:
                return {"batchcomplete": True, "query": {"pages": [acorn, oak]}}
        return {"batchcomplete": True}

    @routes.get("/w/api.php")
    async def api(request: web.Request) -> web.Response:
        assert request.query["maxlag"] == "5" and request.query["formatversion"] == "2"
        if request.query.get("list") == "categorymembers":
            below = {"Category:Trees": "Category:Oaks", "Category:Oaks": "Category:Trees"}[request.query["cmtitle"]]
            return web.json_response({"query": {"categorymembers": [{"ns": 14, "title": below}]}})
        if request.query["gcmtitle"] == "Category:Oaks" and lags:
            lags.clear()
            lagging = {"code": "maxlag", "info": "Waiting for a database server: 5.8 seconds lagged.", "lag": 5.8}
            return web.json_response({"error": lagging}, headers={"Retry-After": "1"})
        return web.json_response(files(request))

    return routes


def loc() -> web.RouteTableDef:
    """Two pages of results; of one search the second is a CAPTCHA."""
    routes = web.RouteTableDef()

    def result(request: web.Request, number: str, **fields: Any) -> dict[str, Any]:
        at = str(request.url.origin())
        sizes = ("_150px.jpg#h=105&w=150", "v.jpg#h=717&w=1024", "r.jpg#h=448&w=640", "t.gif#h=105&w=150")
        return {
            "id": f"http://{request.host}/item/{number}/", "title": f"Photograph {number}", "date": "1939-09",
            "access_restricted": False, "image_url": [f"{at}/pictures/{number}{size}" for size in sizes],
            "contributor": ["wolcott, marion post"], "original_format": ["photo, print, drawing"],
        } | fields  # fmt: skip

    @routes.get("/photos/")
    @routes.get("/collections/fsac/")
    async def search(request: web.Request) -> web.Response:
        asked = request.query
        assert asked["fo"] == "json" and asked["fa"] == "online-format:image" and asked["c"] == "100"
        if asked.get("q") == "captcha" and asked["sp"] == "2":
            return web.Response(text=CAPTCHA, content_type="text/html")
        last = asked["sp"] == "2"
        pagination = {"of": 7, "next": None if last else str(request.url.update_query(sp=2))}
        if last:
            said = {"rights_advisory": ["Publication may be restricted. For information see ..."]}
            return web.json_response({"results": [result(request, "2017800004", item=said)], "pagination": pagination})
        free = {
            "title": "Cotton pickers",
            "creators": [{"link": "//x", "role": "photographer", "title": "Wolcott, Marion Post"}],
            "rights_information": "No known restrictions on publication.",
            "rights": ["<p>The Library does not own rights.</p>"],
        }  # fmt: skip
        results = [
            result(request, "2017800001", item=free),
            None,
            result(request, "2017800002", image_url=None),
            result(request, "2017800003", access_restricted=True, item=free),
            result(request, "set", id=f"http://{request.host}/collections/set/", image_url=[]),
            {"title": "no id at all", "image_url": {"wrong": "type"}},
        ]
        return web.json_response({"results": results, "pagination": pagination})

    @routes.get("/item/{number}/")
    async def item(request: web.Request) -> web.Response:
        number, at = request.match_info["number"], str(request.url.origin())
        files = [
            {"url": f"{at}/pictures/{number}u.tif", "mimetype": "image/tiff", "size": 60_000_000},
            {"url": f"{at}/pictures/{number}r.jpg", "mimetype": "image/jpeg", "width": 640, "height": 448},
            {"url": f"{at}/pictures/{number}v.jpg", "mimetype": "image/jpeg", "width": 1024, "height": 717},
        ]
        said = {"id": f"http://{request.host}/item/{number}/", "title": "Barn", "contributor_names": ["Delano, Jack"],
                "created_published_date": "1940", "access_restricted": False,
                "rights": "No known restrictions. For information, see U.S. Farm Security Administration "
                          "<a href='https://www.loc.gov/rr/print/res/071_fsab.html'>071_fsab</a>"}  # fmt: skip
        return web.json_response({"item": said, "resources": [{"files": [files]}], "more_like_this": [{"id": "other"}]})

    return routes


def internet_archive() -> web.RouteTableDef:
    """Two pages of a search: good items, one without pictures, one restricted, one dark."""
    routes = web.RouteTableDef()
    items = {
        "flowers-1907": {"metadata": {"title": ["Flowers", "Fleurs"], "creator": "Élan & Co", "date": "1907",
                                      "licenseurl": "http://creativecommons.org/publicdomain/mark/1.0/"}},
        "letters": {"metadata": {"title": "Letters"},
                    "files": [{"name": "letters.pdf", "source": "original", "format": "Text PDF"}]},
        "lending": {"metadata": {"title": "Lending", "access-restricted-item": "true"}},
        "dark": {"is_dark": True, "metadata": {"title": "Dark"}},
        "gone": {},
        "harbor": {"metadata": {"title": "Harbor", "rights": "All rights reserved", "licenseurl": CC + "by/4.0/"}},
    }  # fmt: skip

    @routes.get("/services/search/v1/scrape")
    async def scrape(request: web.Request) -> web.Response:
        assert request.query["q"] == "collection:gardens AND mediatype:image" and int(request.query["count"]) >= 100
        names = list(items)
        if request.query.get("cursor") == "W3siaWQ":
            return web.json_response({"items": [{"identifier": name} for name in names[3:]], "count": 3, "total": 6})
        found = [{"identifier": name} for name in names[:3]] + [{"title": "no identifier"}]
        return web.json_response({"items": found, "count": 3, "total": 6, "cursor": "W3siaWQ"})

    @routes.get("/metadata/{identifier}")
    async def metadata(request: web.Request) -> web.Response:
        identifier = request.match_info["identifier"]
        files = [
            {"name": "Rose & lily #1 100%.jpg", "source": "original", "format": "JPEG", "size": "12345", "sha1": "ab"},
            {"name": "box 2/tulip.png", "source": "original", "format": "PNG", "title": "Tulip"},
            {"name": "Rose & lily #1_thumb.jpg", "source": "derivative", "format": "JPEG Thumb"},
            {"name": "__ia_thumb.jpg", "source": "original", "format": "Item Tile"},
            {"name": "own.jpg", "source": "original", "format": "JPEG", "private": "true"},
            {"source": "original", "format": "JPEG"},
            "not a file",
        ]
        item: dict[str, Any] = items[identifier]
        if item:
            item = {"files": files} | item | {"metadata": item["metadata"] | {"identifier": identifier}}
        return web.json_response(item)

    return routes


def iiif() -> web.RouteTableDef:
    """A collection of version 3 that holds a manifest, a paged collection of version 2, and itself."""
    routes = web.RouteTableDef()

    @routes.get("/iiif/top")
    async def top(request: web.Request) -> web.Response:
        at = f"{request.url.origin()}/iiif"
        items = [
            {"id": f"{at}/album", "type": "Manifest", "label": {"en": ["Album"]}},
            {"type": "Manifest", "label": {"en": ["no address"]}},
            {"id": f"{at}/paged", "type": "Collection"},
            {"id": f"{at}/top", "type": "Collection"},
            {"id": f"{at}/page-of-html", "type": "Manifest"},
        ]
        return web.json_response({"id": f"{at}/top", "type": "Collection", "label": {"none": ["All"]}, "items": items})

    @routes.get("/iiif/page-of-html")
    async def html(request: web.Request) -> web.Response:
        return web.Response(text=CAPTCHA, content_type="text/html")

    @routes.get("/iiif/paged")
    async def paged(request: web.Request) -> web.Response:
        at = f"{request.url.origin()}/iiif"
        return web.json_response({"@id": f"{at}/paged", "@type": "sc:Collection", "total": 2, "first": f"{at}/paged/1"})

    @routes.get("/iiif/paged/{number}")
    async def one_page(request: web.Request) -> web.Response:
        at, number = f"{request.url.origin()}/iiif", int(request.match_info["number"])
        following = {"next": f"{at}/paged/2"} if number == 1 else {"collections": [{"@id": f"{at}/top"}]}
        manifests = [{"@id": f"{at}/portrait", "@type": "sc:Manifest"}] if number == 2 else None
        return web.json_response({"@type": "sc:Collection", "manifests": manifests} | following)

    @routes.get("/iiif/album")
    async def album(request: web.Request) -> web.Response:
        at = str(request.url.origin())

        def canvas(number: int, body: Any, **fields: Any) -> dict[str, Any]:
            annotation = {"type": "Annotation", "motivation": "painting", "body": body}
            pages = [{"type": "AnnotationPage", "items": [annotation]}]
            return {"id": f"{at}/iiif/album/c{number}", "type": "Canvas", "items": pages} | fields

        service = {"id": f"{at}/image/a1", "type": "ImageService3", "profile": "level2"}
        static = {
            "@id": f"{at}/image/a2",
            "@type": "ImageService2",
            "profile": "http://iiif.io/api/image/2/level0.json",
        }
        image = {"type": "Image", "format": "image/jpeg", "width": 4000, "height": 3000}
        choice = {
            "type": "Choice",
            "items": [{"id": f"{at}/pictures/a3.jpg", **image}, {"id": f"{at}/pictures/no.jpg", **image}],
        }
        items = [
            canvas(1, {"id": f"{at}/pictures/a1.jpg", **image, "service": [service]}, label={"none": ["1r"]}),
            canvas(
                2,
                {"id": f"{at}/pictures/a2.jpg", **image, "service": static},
                label={"de": ["Blatt 2"]},
                rights=CC + "by-nd/4.0/",
            ),
            canvas(3, choice),
            canvas(4, {"id": f"{at}/pictures/film.mp4", "type": "Video"}),
            canvas(5, {"type": "Image", "service": [{"type": "AuthCookieService1", "id": "x"}]}),
            "not a canvas",
        ]
        pairs = [
            {"label": {"de": ["Fotograf"], "en": ["Photographer"]}, "value": {"none": ["<span>Frieda Riess</span>"]}},
            {"label": {"en": ["Date"]}, "value": {"en": ["about 1925"]}},
            None,
        ]
        return web.json_response({
            "@context": "http://iiif.io/api/presentation/3/context.json", "id": f"{at}/iiif/album", "type": "Manifest",
            "label": {"fr": ["Un album"], "en": ["An album"]}, "metadata": pairs, "rights": CC + "by-sa/4.0/",
            "requiredStatement": {"label": {"en": ["Attribution"]}, "value": {"en": ["Courtesy of a library"]}},
            "homepage": [{"id": f"{at}/books/album", "type": "Text"}], "items": items,
        })  # fmt: skip

    @routes.get("/iiif/portrait")
    async def portrait(request: web.Request) -> web.Response:
        at = str(request.url.origin())
        context = "http://iiif.io/api/image/2/context.json"
        service = {
            "@context": context,
            "@id": f"{at}/image/p1/",
            "profile": ["http://iiif.io/api/image/2/level2.json", {}],
        }
        resource = {
            "@id": f"{at}/pictures/p1.jpg",
            "@type": "dctypes:Image",
            "width": 900,
            "height": 1200,
            "service": service,
        }
        canvas = {
            "@id": f"{at}/iiif/portrait/c1",
            "@type": "sc:Canvas",
            "label": "p. 1",
            "images": [{"resource": resource}],
        }
        return web.json_response({
            "@id": f"{at}/iiif/portrait", "@type": "sc:Manifest", "attribution": "Some library",
            "label": [{"@value": "Porträt", "@language": "de"}, {"@value": "Portrait", "@language": "en"}],
            "license": "https://rightsstatements.org/vocab/NoC-US/1.0/", "related": {"@id": f"{at}/books/portrait"},
            "metadata": [{"label": "Creator", "value": ["A", "B"]}], "navDate": "1899-01-01T00:00:00Z",
            "sequences": [{"canvases": [canvas]}],
        })  # fmt: skip

    return routes
