from __future__ import annotations

import pytest
from scrapy.http import HtmlResponse

from crawler.spiders.gallery import Gallery, _largest

START = {"start": "https://example.org/list", "photo": "img::attr(src)"}


def page(body: str, url: str = "https://example.org/a/page") -> HtmlResponse:
    return HtmlResponse(url, body=body.encode(), encoding="utf-8")


@pytest.mark.parametrize(
    "srcset, largest",
    [
        ("a.jpg", "a.jpg"),
        ("a.jpg, b.jpg 2x", "b.jpg"),
        ("a.jpg 2x, b.jpg 1.5x", "a.jpg"),
        ("s.jpg 480w,\n  l.jpg 1600w,\n  m.jpg 800w", "l.jpg"),
        ("/x/full/640,/0/default.jpg 640w,/x/full/1280,/0/default.jpg 1280w", "/x/full/1280,/0/default.jpg"),
        ("a.jpg 100w 50h, b.jpg 200w 100h", "b.jpg"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_largest_of_a_srcset(srcset, largest):
    assert _largest(srcset) == largest


def test_addresses_are_resolved_and_met_once():
    gallery = Gallery(**START)
    body = """<base href="//cdn.example.net/x/"><img src=" one.jpg#top"><img src="one.jpg"><img src="/two.jpg">
        <img src="data:image/png;base64,AAAA"><img src="javascript:x"><img src=""><img src="http://[bad/">"""
    photos = list(gallery.parse_item(page(body)))
    assert [photo.url for photo in photos] == ["https://cdn.example.net/x/one.jpg", "https://cdn.example.net/two.jpg"]
    assert list(gallery.parse_item(page(body))) == []


def test_what_is_said_goes_with_its_photo():
    body = "<img src=1.jpg><p> One<br> day </p><img src=2.jpg><p>Two</p><b>Studio</b><i>x</i><i>y</i><i>z</i>"
    gallery = Gallery(**START, title="p", creator="b::text", date="i")
    found = [(photo.title, photo.creator, photo.date) for photo in gallery.parse_item(page(body))]
    assert found == [("One day", "Studio", None), ("Two", "Studio", None)]


def test_a_license_that_is_not_understood_is_not_replaced_by_the_site_s():
    gallery = Gallery(**START, license="p", rights="CC0")
    (photo,) = gallery.parse_item(page("<img src=1.jpg><p>Ask the curator</p>"))
    assert (photo.license, photo.license_url) == ("Ask the curator", None)
    (photo,) = gallery.parse_item(page("<img src=2.jpg>"))
    assert photo.license_url == "https://creativecommons.org/publicdomain/zero/1.0/"


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"start": "example.org"}, "where to start"),
        ({"start": "file:///etc"}, "where to start"),
        ({"photo": ""}, "what selects the pictures"),
        ({"photo": "img"}, "selects elements, not addresses"),
        ({"title": "h1["}, "not a CSS selector"),
        ({"pages": "all"}, "not a number of pages"),
        ({"rights": "mine"}, "no statement of rights"),
        ({"titel": "h1"}, "no argument titel"),
    ],
)
def test_wrong_arguments(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Gallery(**(START | wrong))
