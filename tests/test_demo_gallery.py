from __future__ import annotations

import io
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image
from scrapy.http import HtmlResponse

from colorize_core.curation.examine import Examiner, Rules
from colorize_core.curation.twins import find_twins
from colorize_core.photo import Limits
from crawler import rights
from crawler.spiders.gallery import Gallery
from demo import gallery
from demo.train import commands


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    assert gallery.build(folder) == 178
    return folder


def test_the_gallery_spider_finds_every_photograph_with_its_rights(folder):
    with gallery.serve(folder) as host:
        spider = Gallery(start=f"http://{host}/", **gallery.SELECTORS)
        pages, photos = [spider.start_url], []
        while pages:
            url = pages.pop()
            response = HtmlResponse(url, body=urlopen(url).read(), encoding="utf-8")
            photos += spider.parse_item(response)
            pages += spider._links(response, spider.next)
        with urlopen(photos[0].url) as answer:
            assert answer.headers["Content-Type"] == "image/jpeg"
            assert answer.read() == (folder / "photos" / photos[0].url.rpartition("/")[2]).read_bytes()
    assert {photo.url.rpartition("/")[2] for photo in photos} == {path.name for path in (folder / "photos").iterdir()}
    assert len(photos) == 178 and len({photo.page_url for photo in photos}) == 8
    cat = next(photo for photo in photos if "chelsea" in photo.url)
    assert (cat.title, cat.creator) == ("Chelsea the cat", "Stéfan van der Walt")
    assert {photo.license_url for photo in photos} == {rights.PUBLIC_DOMAIN, rights.ZERO, rights.NO_KNOWN_COPYRIGHT}


def test_enough_photographs_are_fit_to_train_on(folder):
    examiner = Examiner(Limits(), Rules())
    found = [examiner.examine(path) for path in sorted((folder / "photos").iterdir())]
    fit = [findings for findings in found if findings.reason is None]
    assert 150 <= len(fit) < len(found)  # some are left out, for the demo to show it
    dhash = np.array([findings.dhash for findings in fit], np.uint64)
    signature = np.stack([np.frombuffer(findings.signature, np.uint8) for findings in fit])
    assert (find_twins(dhash, signature, np.arange(len(fit))) < 0).all()


def test_pieces_lie_inside_and_overlap_by_little():
    found = gallery.pieces(451, 300, 30, np.random.default_rng(1))
    assert len(found) == 30 and len({mirrored for _, mirrored in found}) == 2
    for box, _ in found:
        assert 0 <= box.left <= 451 - box.width and 0 <= box.top <= 300 - box.height
        assert min(box.width, box.height) >= gallery.SIDES[0] > Rules().min_side
    for (one, mirrored), (other, alike) in combinations(found, 2):
        assert mirrored != alike or one.overlap(other) <= gallery.OVERLAP


@pytest.mark.parametrize(
    "other, share", [((0, 0, 10, 10), 1.0), ((5, 0, 10, 10), 1 / 3), ((10, 0, 10, 10), 0), ((20, 30, 9, 9), 0)]
)
def test_overlap(other, share):
    assert gallery.Box(0, 0, 10, 10).overlap(gallery.Box(*other)) == pytest.approx(share)


def test_a_second_build_has_the_same_bytes(folder, tmp_path):
    gallery.build(tmp_path)
    first, second = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*.*")} for f in (folder, tmp_path))
    assert first == second and len(first) == 178 + 8


def test_the_command_serves_and_says_how_to_crawl(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "demo.gallery", str(tmp_path / "new")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.match(r"178 photographs at (http://127\.0\.0\.1:\d+/) until Ctrl-C", line)
        assert match, line
        assert process.stdout.readline() == "\n"
        assert process.stdout.readline().startswith(f"scrapy crawl gallery -a start={match[1]} ")
        body = urlopen(f"{match[1]}photos/coffee-00.jpg").read()
        assert Image.open(io.BytesIO(body)).format == "JPEG"
    finally:
        process.kill()
        process.wait()


def test_a_command_reads_what_the_one_before_it_wrote():
    lines = commands(Path("/demo"), "127.0.0.1:9")
    words = {line[4] if line[2] == "scrapy" else line[2].removeprefix("jobs."): line for line in lines}
    assert list(words) == ["gallery", "cluster", "train", "evaluate", "colorize", "report"]
    assert "OUT=/demo/photographs" in words["gallery"] and "PRIVATE_HOSTS=127.0.0.1:9" in words["gallery"]
    assert words["cluster"][3:] == ["/demo/photographs", "/demo/dataset"]
    assert words["train"][-2:] == ["/demo/dataset", "/demo/trained"]
    assert "/demo/trained/autochrome.safetensors" in words["evaluate"] and "/demo/dataset" in words["evaluate"]
    assert "/demo/trained/autochrome.safetensors" in words["colorize"]
    assert words["report"][-1] == words["colorize"][-1] == "/demo/color"
