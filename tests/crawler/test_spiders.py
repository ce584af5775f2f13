from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from crawling import crawl, rows
from scrapy.http import TextResponse
from website import Site, serve

from crawler.archive import Archive
from crawler.items import Photo
from crawler.spiders.commons import Commons
from crawler.spiders.iiif import Iiif, label
from crawler.spiders.internet_archive import InternetArchive
from crawler.spiders.loc import LibraryOfCongress
from crawler.spiders.tooopen import Tooopen
from crawler.values import text, verbatim

CC = "https://creativecommons.org/"
NKC = "http://rightsstatements.org/vocab/NKC/1.0/"
PICTURES = ("/pictures/", "/download/", "/image/")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serve("archives:archives", tmp_path_factory.mktemp("archives")) as served:
        yield served


def photos(site: Site, out: Path, spider: str, *args: str, code: int = 0, **settings: Any) -> dict[str, dict[str, Any]]:
    """Crawl twice: the rows by the address of the picture, once it is clear that the second time fetched none."""
    settings = {"PRIVATE_HOSTS": site.host} | settings
    done = crawl(spider, *args, out=out, settings=settings)
    assert done.returncode == code, done.stdout
    found = rows(out)
    site.forget()
    again = crawl(spider, *args, out=out, settings=settings)
    assert again.returncode == code, again.stdout
    assert site.paths() and not [path for path in site.paths() if path.startswith(PICTURES)]
    assert rows(out) == found
    assert len({row["url"] for row in found}) == len(found)
    return {row["url"].removeprefix(site.url): row for row in found}


def test_tooopen(site, tmp_path):
    found = photos(site, tmp_path, "tooopen", f"site={site.url}")
    assert set(found) == {"/pictures/lake.jpg", "/pictures/dune.jpg", "/pictures/wood.jpg"}
    assert {row["status"] for row in found.values()} == {"metadata_only"}
    assert site.paths().count("/img/87_0_1_2.aspx") == 1 and "/img/87_0_1_3.aspx" not in site.paths()
    lake = found["/pictures/lake.jpg"]
    assert (lake["category"], lake["title"], lake["license_url"]) == ("自然风光", "lake", None)
    assert lake["page_url"] == f"{site.url}/view/lake.aspx"
    site.forget()
    settings = {"PRIVATE_HOSTS": site.host, "RIGHTS": "unknown"}
    done = crawl("tooopen", f"site={site.url}", "pages=1", out=tmp_path, settings=settings)
    assert done.returncode == 0, done.stdout
    stored = {row["url"].removeprefix(site.url) for row in rows(tmp_path) if row["status"] == "stored"}
    assert stored == {"/pictures/lake.jpg", "/pictures/dune.jpg"}


def test_commons(site, tmp_path):
    asked = (f"api={site.url}/w/api.php", "category=Category:Trees", "recursive=1", "width=960")
    found = photos(site, tmp_path, "commons", *asked, code=1)  # one record is broken
    assert {url: row["status"] for url, row in found.items()} == {
        "/pictures/Oak_at_dawn.jpg/960px.jpg": "stored",
        "/pictures/Beech.jpg": "stored",  # narrower than what was asked for
        "/pictures/Elm.jpg/960px.jpg": "metadata_only",
        "/pictures/Acorn.jpg/960px.jpg": "stored",
    }
    oak = found["/pictures/Oak_at_dawn.jpg/960px.jpg"]
    assert oak["creator"] == "Käthe & Ann"
    assert oak["date"] == "1911"
    assert oak["title"] == "Oak at dawn"
    assert oak["license"] == "CC BY-SA 3.0 de"
    assert oak["license_url"] == CC + "licenses/by-sa/3.0/de/"
    assert oak["page_url"] == f"{site.url}/wiki/File:Oak_at_dawn.jpg"
    assert oak["source"] == "commons" and oak["source_id"] == "File:Oak at dawn.jpg"
    assert json.loads(oak["source_json"])["imageinfo"][0]["sha1"] == f"{1:040x}"
    assert found["/pictures/Beech.jpg"]["title"] == "Beech.jpg"
    assert found["/pictures/Beech.jpg"]["license_url"] == CC + "publicdomain/mark/1.0/"
    assert found["/pictures/Acorn.jpg/960px.jpg"]["category"] == "Oaks"
    assert found["/pictures/Elm.jpg/960px.jpg"]["license"] == "GFDL"


def test_commons_stays_in_its_category_and_takes_originals_unless_told_otherwise(site, tmp_path):
    asked = (f"api={site.url}/w/api.php", "category=Trees")
    done = crawl("commons", *asked, out=tmp_path, settings={"PRIVATE_HOSTS": site.host})
    assert "a record could not be read and is left out: File:Broken.jpg" in done.stdout
    assert {row["category"] for row in rows(tmp_path)} == {"Trees"}
    assert f"{site.url}/pictures/Oak_at_dawn.jpg" in {row["url"] for row in rows(tmp_path)}


def test_loc(site, tmp_path):
    found = photos(site, tmp_path, "loc", f"site={site.url}", "collection=fsac", "query=cotton", code=1)
    assert {url: row["status"] for url, row in found.items()} == {
        "/pictures/2017800001v.jpg": "stored",
        "/pictures/2017800002v.jpg": "stored",
        "/pictures/2017800004v.jpg": "metadata_only",
    }
    cotton = found["/pictures/2017800001v.jpg"]
    assert cotton["license"] == "No known restrictions on publication." and cotton["license_url"] == NKC
    assert (cotton["title"], cotton["creator"], cotton["date"]) == ("Cotton pickers", "Wolcott, Marion Post", "1939-09")
    assert cotton["page_url"] == f"{site.url}/item/2017800001/" and cotton["source_id"] == "2017800001"
    assert cotton["category"] == "fsac"
    barn = found["/pictures/2017800002v.jpg"]  # from the item's own record
    assert (barn["title"], barn["creator"], barn["date"]) == ("Barn", "Delano, Jack", "1940")
    assert barn["license_url"] == NKC and "more_like_this" not in barn["source_json"]
    assert "/item/2017800003/" not in site.paths()


def test_loc_stops_at_a_captcha(site, tmp_path):
    done = crawl("loc", f"site={site.url}", "query=captcha", out=tmp_path, settings={"PRIVATE_HOSTS": site.host})
    assert done.returncode == 1
    assert "probably a CAPTCHA" in done.stdout and "(blocked)" in done.stdout
    assert [row["status"] for row in rows(tmp_path) if row["source_id"] == "2017800001"] == ["stored"]


def test_internet_archive(site, tmp_path):
    found = photos(site, tmp_path, "internet_archive", f"site={site.url}", "collection=gardens", code=1)
    rose, harbor = "/Rose%20%26%20lily%20%231%20100%25.jpg", "/download/harbor/box%202/tulip.png"
    assert {url: row["status"] for url, row in found.items()} == {
        "/download/flowers-1907" + rose: "stored",
        "/download/flowers-1907/box%202/tulip.png": "stored",
        "/download/harbor" + rose: "metadata_only",
        harbor: "metadata_only",
    }
    flowers = found["/download/flowers-1907" + rose]
    assert (flowers["title"], flowers["creator"], flowers["date"]) == ("Flowers; Fleurs", "Élan & Co", "1907")
    assert flowers["license_url"] == CC + "publicdomain/mark/1.0/"
    assert flowers["page_url"] == f"{site.url}/details/flowers-1907"
    assert flowers["source_id"] == "flowers-1907/Rose & lily #1 100%.jpg"
    assert json.loads(flowers["source_json"])["file"]["sha1"] == "ab"
    assert found["/download/flowers-1907/box%202/tulip.png"]["title"] == "Tulip"
    assert found[harbor]["license_url"] == "http://rightsstatements.org/vocab/InC/1.0/"


def test_iiif(site, tmp_path):
    found = photos(site, tmp_path, "iiif", f"manifest={site.url}/iiif/top", code=1)
    assert {url: row["status"] for url, row in found.items()} == {
        "/image/a1/full/max/0/default.jpg": "stored",
        "/pictures/a2.jpg": "metadata_only",  # a service of level 0 makes no sizes; the canvas forbids adaptations
        "/pictures/a3.jpg": "stored",
        "/image/p1/full/full/0/default.jpg": "stored",
    }
    first = found["/image/a1/full/max/0/default.jpg"]
    assert (first["title"], first["creator"], first["date"]) == ("An album, 1r", "Frieda Riess", "about 1925")
    assert first["license"] == "Courtesy of a library" and first["license_url"] == CC + "licenses/by-sa/4.0/"
    assert first["page_url"] == f"{site.url}/books/album" and first["source_id"] == f"{site.url}/iiif/album/c1"
    assert first["source"] == "127.0.0.1"
    kept = json.loads(first["source_json"])
    assert kept["canvas"]["id"].endswith("/c1") and "items" not in kept
    portrait = found["/image/p1/full/full/0/default.jpg"]
    assert (portrait["title"], portrait["creator"], portrait["date"]) == ("Portrait", "A; B", "1899-01-01")
    assert portrait["page_url"] == f"{site.url}/books/portrait"
    assert portrait["license_url"] == "http://rightsstatements.org/vocab/NoC-US/1.0/"
    assert site.paths().count("/iiif/top") == 1


def test_a_wrong_argument_is_refused_in_a_sentence(tmp_path):
    done = crawl("commons", "category=Trees", "width=1000", out=tmp_path)
    assert done.returncode == 2
    assert "commons takes -a width= one of 20, 40, 60" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("spider", "arguments", "said"),
    [
        (Tooopen, {"pages": "many"}, "pages= a whole number from 1"),
        (Tooopen, {"site": "tooopen.com"}, "begins with http"),
        (Commons, {}, "needs -a category="),
        (Commons, {"category": " Category: "}, "needs -a category="),
        (Commons, {"category": "Trees", "recursive": "yes"}, "recursive=0 or 1"),
        (Commons, {"category": "Trees", "recursive": "1", "depth": "-1"}, "depth= a whole number from 0"),
        (Commons, {"category": "Trees", "api": "file:///etc/passwd"}, "begins with http"),
        (LibraryOfCongress, {"query": " "}, "needs -a query= or -a collection="),
        (InternetArchive, {}, "needs -a query= or -a collection="),
        (Iiif, {}, "needs -a manifest="),
        (Iiif, {"manifest": "http://"}, "begins with http"),
        (Iiif, {"manifest": "https://x.org/m", "size": "0"}, "size= a whole number from 1"),
        (InternetArchive, {"query": "x", "colection": "y"}, "takes no argument colection"),
    ],
)
def test_arguments_are_checked(spider, arguments, said):
    with pytest.raises(ValueError, match=said):
        spider(**arguments)


ODD: list[Any] = [None, True, 7, "x", "<b", [], [None], {}, {"a": None}, [[]], [{}], {"value": 3}, "\ud800", -1.5]
TREES = Commons(category="Trees")
FILES: dict[str, Any] = {"wanted": {}, "take": TREES.files, "context": {"category": "Trees"}}
SPIDERS: list[tuple[Archive, dict[str, Any], str]] = [
    (TREES, FILES, "parse"),
    (LibraryOfCongress(query="x"), {}, "parse"),
    (LibraryOfCongress(query="x"), {}, "parse_item"),
    (InternetArchive(query="x"), {}, "parse"),
    (InternetArchive(query="x"), {}, "parse_item"),
    (Iiif(manifest="https://x.org/m"), {}, "parse"),
]  # fmt: skip
GOOD: dict[str, Any] = {
    "commons.parse": {"query": {"pages": [{
        "title": "File:A.jpg", "imageinfo": [{
            "mediatype": "BITMAP", "width": 10, "url": "https://x.org/a.jpg", "descriptionurl": "https://x.org/a",
            "extmetadata": {"Artist": {"value": "A"}, "LicenseShortName": {"value": "CC0"}}}]}]}},
    "loc.parse": {"results": [{
        "id": "https://x.org/item/1/", "title": "T", "image_url": ["https://x.org/a.jpg#h=1&w=1"], "date": "1900",
        "item": {"rights_advisory": ["r"], "creators": [{"title": "C"}]}}], "pagination": {"next": None}},
    "loc.parse_item": {
        "item": {"id": "https://x.org/item/1/", "title": "T", "rights": "r", "contributor_names": ["C"]},
        "resources": [{"files": [[{"url": "https://x.org/a.jpg", "width": 1, "height": 1}]]}]},
    "internet_archive.parse": {"items": [{"identifier": "a"}], "cursor": None},
    "internet_archive.parse_item": {
        "metadata": {"identifier": "a", "title": "T", "licenseurl": "u", "date": "1900"},
        "files": [{"name": "a.jpg", "source": "original", "format": "JPEG", "title": "F"}]},
    "iiif.parse": {
        "id": "https://x.org/m", "type": "Manifest", "label": {"en": ["L"]}, "rights": "r",
        "homepage": [{"id": "https://x.org"}], "requiredStatement": {"value": {"en": ["s"]}},
        "metadata": [{"label": {"en": ["Date"]}, "value": {"en": ["1900"]}}],
        "items": [{"id": "c", "items": [{"items": [{"motivation": "painting", "body": {
            "id": "https://x.org/a.jpg", "type": "Image", "width": 9,
            "service": [{"id": "https://x.org/i", "type": "ImageService3"}],
        }}]}]}]},
}  # fmt: skip


async def _everything(spider: Archive, method: str, answer: Any, context: dict[str, Any]) -> list[Any]:
    body = json.dumps(answer).encode()
    result = getattr(spider, method)(TextResponse("https://x.org/answer", body=body, encoding="utf-8"), **context)
    return [one async for one in result] if hasattr(result, "__aiter__") else list(result)


def _spoiled(value: Any):
    """The value with each of its parts in turn missing, or replaced by something odd."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        for odd in ODD:
            copy = value.copy()
            copy[key] = odd
            yield copy
        if isinstance(value, dict):
            yield {k: v for k, v in value.items() if k != key}
        for part in _spoiled(value[key]):
            copy = value.copy()
            copy[key] = part
            yield copy


@pytest.mark.parametrize(("spider", "context", "method"), SPIDERS, ids=[f"{s.name}.{m}" for s, _, m in SPIDERS])
def test_no_odd_answer_stops_a_spider(spider, context, method):
    async def all_of_them() -> int:
        good = GOOD[f"{spider.name}.{method}"]
        assert len(await _everything(spider, method, good, context)) == 1
        count = 0
        for answer in _spoiled(good):
            for one in await _everything(spider, method, answer, context):
                if isinstance(one, Photo):
                    assert one.url.startswith("https://")
                    verbatim(vars(one) | {"crawled_at": None}).encode()
                    assert all(isinstance(v, (str, type(None))) for v in vars(one).values()), one
                    "".join(v for v in vars(one).values() if v).encode()
            count += 1
        return count

    assert asyncio.run(all_of_them()) > 20


def test_loc_says_where_its_listing_ends(caplog):
    answer = {"results": [], "pagination": {"of": 250_000, "next": "https://x.org/photos/?sp=1000&fo=json"}}
    (following,) = asyncio.run(_everything(LibraryOfCongress(query="x"), "parse", answer, {}))
    assert following.url == "https://x.org/photos/?sp=1000&fo=json"
    answer["pagination"]["next"] = "https://x.org/photos/?sp=1001&fo=json"
    assert asyncio.run(_everything(LibraryOfCongress(query="x"), "parse", answer, {})) == []
    assert "lists only the first 100,000 of 250000 items" in caplog.text


def test_what_the_commons_api_refuses_is_said(caplog):
    answer = {"error": {"code": "invalidcategory", "info": "The category name is not valid."}}
    assert asyncio.run(_everything(TREES, "parse", answer, FILES)) == []
    assert "the API refused (invalidcategory: The category name is not valid.)" in caplog.text


def test_an_error_of_the_search_is_said(caplog):
    answer = {"error": "[RANGE] query syntax", "errorType": "RangeException"}
    assert asyncio.run(_everything(InternetArchive(query="["), "parse", answer, {})) == []
    assert "the search failed: [RANGE] query syntax" in caplog.text


def test_a_page_with_a_wrong_address_keeps_the_others():
    body = "".join(f'<div class="pic"><img src="{source}"></div>' for source in ("http://[x", "/a.jpg"))
    page = TextResponse("https://x.org/", body=body.encode(), encoding="utf-8")
    assert [one.url for one in Tooopen(pages="1").parse(page, 0)] == ["https://x.org/a.jpg"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("plain", "plain"),
        ("  two\n words ", "two words"),
        ("<p>one</p><p>two</p>", "one two"),
        ("<b>C</b>arl &amp; <i>Ann</i>", "Carl & Ann"),
        ("1905<div style='display: none;'>date QS:P571</div>", "1905"),
        ("<style>p {color: red}</style>seen<script>1</script>", "seen"),
        ("a < b & c", "a < b & c"),
        (["a", None, "b", "a", ["c"]], "a; b; c"),
        (1907, "1907"),
        ("half \ud800 pair", "half ? pair"),
        ("", None),
        ("<br>", None),
        (None, None),
        (True, None),
        ({"a": 1}, None),
        ([], None),
    ],
)
def test_text_is_what_a_reader_would_see(value, said):
    assert text(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("plain", "plain"),
        ({"de": ["Baum"], "en": ["Tree"]}, "Tree"),
        ({"de": ["Baum"], "en-GB": ["Tree"]}, "Tree"),
        ({"de": ["Baum"], "none": ["12"]}, "12"),
        ({"de": ["Baum"], "fr": ["Arbre"]}, "Baum"),
        ({"@value": "Tree", "@language": "en"}, "Tree"),
        ([{"@value": "Baum", "@language": "de"}, {"@value": "Tree", "@language": "en"}], "Tree"),
        ([{"@value": "Baum", "@language": "de"}, {"@value": "Arbre", "@language": "fr"}], "Baum"),
        (["a", "b"], "a; b"),
        ({"en": []}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_iiif_labels_prefer_english(value, said):
    assert label(value) == said


THREE = {"id": "https://x.org/i", "type": "ImageService3"}
TWO = {"@id": "https://x.org/i", "@context": "http://iiif.io/api/image/2/context.json"}
ONE = {"@id": "https://x.org/i", "profile": "http://library.stanford.edu/iiif/image-api/1.1/compliance.html#level1"}
BODY = {"id": "https://x.org/a.jpg"}


@pytest.mark.parametrize(
    ("body", "url"),
    [
        (BODY | {"service": [THREE], "width": 4000}, "https://x.org/i/full/!1200,1200/0/default.jpg"),
        (BODY | {"service": [THREE]}, "https://x.org/i/full/!1200,1200/0/default.jpg"),
        (BODY | {"service": [THREE], "width": 900, "height": 1200}, "https://x.org/i/full/max/0/default.jpg"),
        (BODY | {"service": [{"type": "AuthCookieService1"}, TWO], "width": 9}, "https://x.org/i/full/full/0/default.jpg"),
        (BODY | {"service": ONE, "width": 9}, "https://x.org/i/full/full/0/native.jpg"),
        (BODY | {"service": [THREE | {"profile": "level0"}]}, "https://x.org/a.jpg"),
        (BODY, "https://x.org/a.jpg"),
    ],
)  # fmt: skip
def test_iiif_asks_for_the_size_that_is_wanted(body, url):
    assert Iiif(manifest="https://x.org/m", size="1200").picture(body) == url
