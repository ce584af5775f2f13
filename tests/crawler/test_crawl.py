"""Whole crawls of a site on loopback, each in a process of its own."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import time
from pathlib import Path

import crawling
import pytest
import website
from crawling import crawl, rows

from colorize_core.storage import Store

SELECTORS = [
    "photo=img.full::attr(srcset)", "item=a.detail::attr(href)", "next=a.next::attr(href)", "title=h1", "creator=.by",
    "date=time::text", "license=a[rel=license]::attr(href)", "category=people",
]  # fmt: skip
FLAT = ["photo=img.full::attr(src)", "rights=CC0"]


@pytest.fixture
def site(tmp_path):
    with website.serve("website:gallery", tmp_path) as site:
        yield site


def trusting(site: website.Site, **settings) -> dict:
    return {"PRIVATE_HOSTS": site.host} | settings


def few(site: website.Site, *names: str) -> list[str]:
    return [f"start={site.url}/few?names={','.join(names)}", *FLAT]


def whole(site: website.Site) -> list[str]:
    return [f"start={site.url}/list/0", *SELECTORS]


def photos_asked_for(site: website.Site) -> list[str]:
    return [path for path in site.paths() if path.startswith("/photos/")]


def outcome(out: Path | str) -> dict[str, tuple[str, str | None]]:
    """Status and error class by the last part of the address."""
    return {row["url"].rpartition("/")[2]: (row["status"], row["error_class"]) for row in rows(out)}


def check_whole(site: website.Site, out: Path | str) -> None:
    store, found = Store(str(out)), rows(out)
    assert {row["url"]: row["status"] for row in found} == {
        f"{site.url}/photos/{name}": "stored" for name in website.PHOTOS
    }
    assert len(found) == len(website.PHOTOS)
    for row in found:
        served = website.PHOTOS[row["url"].rpartition("/")[2]]
        assert store.read(row["path"]) == served
        assert row["sha256"] == hashlib.sha256(served).hexdigest()
        assert row["path"] == f"originals/{hashlib.sha1(row['url'].encode()).hexdigest()}.jpg"
        assert (row["size"], row["width"], row["height"], row["format"]) == (len(served), 160, 120, "JPEG")
    assert len(list(store.list("originals/"))) == len(found)


def test_a_gallery_is_kept_as_served_and_nothing_is_asked_for_twice(site, tmp_path):
    first = crawl("gallery", *whole(site), out=tmp_path / "out", settings=trusting(site))
    assert first.returncode == 0, first.stdout
    assert "12 stored, 0 duplicate, 0 metadata only, 0 rejected, 0 failed; 0 were known already" in first.stdout
    assert "Traceback" not in first.stdout and "Deprecat" not in first.stdout and "WARNING" not in first.stdout
    check_whole(site, tmp_path / "out")
    row = next(row for row in rows(tmp_path / "out") if row["url"].endswith("/p5.jpg"))
    assert row["page_url"] == f"{site.url}/item/p5"
    assert (row["title"], row["creator"], row["date"]) == ("Photo p5", "A. Person", "1911")
    assert row["license"] == "https://creativecommons.org/licenses/by-sa/4.0/deed.en"
    assert row["license_url"] == "https://creativecommons.org/licenses/by-sa/4.0/"
    assert (row["source"], row["category"]) == ("127.0.0.1", "people")
    assert site.paths()[0] == "/robots.txt" and site.paths().count("/robots.txt") == 1
    assert {request["agent"].split("/")[0] for request in site.requests()} == {"Autochrome"}
    assert all(request["agent"].endswith(" (+test@example.org)") for request in site.requests())
    assert len(photos_asked_for(site)) == 12

    site.forget()
    second = crawl("gallery", *whole(site), out=tmp_path / "out", settings=trusting(site))
    assert second.returncode == 0, second.stdout
    assert "0 stored" in second.stdout and "12 were known already" in second.stdout
    assert photos_asked_for(site) == []
    assert len(rows(tmp_path / "out")) == 12


def test_every_trouble_has_its_row(site, tmp_path):
    host, port = site.host.split(":")
    with socket.create_server(("127.0.0.2", int(port))) as inward:
        inward.setblocking(False)
        run = crawl(
            "gallery", f"start={site.url}/troubles", *FLAT, out=tmp_path / "out",
            settings=trusting(site, RETRY_TIMES=1),
        )  # fmt: skip
        with pytest.raises(BlockingIOError):
            inward.accept()
    assert run.returncode == 0, run.stdout
    assert "Traceback" not in run.stdout, run.stdout[run.stdout.find("Traceback") :]
    assert "DOWNLOAD_FAIL_ON_DATALOSS" not in run.stdout
    twins = [row for row in rows(tmp_path / "out") if "twin" in row["url"]]
    assert sorted(row["status"] for row in twins) == ["duplicate", "stored"]
    assert twins[0]["path"] == twins[1]["path"] and twins[0]["sha256"] == twins[1]["sha256"]
    found = outcome(tmp_path / "out")
    assert {name: found[name] for name in found if "twin" not in name} == {
        "busy.jpg": ("stored", None),
        "cut.jpg": ("stored", None),
        "moved.jpg": ("stored", None),
        "truncated.jpg": ("rejected", "truncated"),
        "notice.jpg": ("rejected", "not_an_image"),
        "huge.jpg": ("rejected", "too_large"),
        "missing.jpg": ("rejected", "not_found"),
        "inward.jpg": ("rejected", "private_address"),
        "secret.jpg": ("rejected", "robots"),
        "broken.jpg": ("failed", "http"),
    }
    assert len(list(Store(str(tmp_path / "out")).list("originals/"))) == 4
    assert "/photos/private/secret.jpg" not in site.paths()
    busy = [r["time"] for r in site.requests() if r["path"] == "/photos/busy.jpg"]
    assert not [r for r in site.requests() if busy[0] + 0.2 < r["time"] < busy[0] + 1.95]
    assert len(busy) == 2

    site.forget()
    crawl("gallery", f"start={site.url}/troubles", *FLAT, out=tmp_path / "out", settings=trusting(site, RETRY_TIMES=0))
    assert photos_asked_for(site) == ["/photos/broken.jpg"]


def test_only_what_rights_allow_is_downloaded(site, tmp_path):
    strict = crawl("gallery", *whole(site), out=tmp_path / "out", settings=trusting(site, RIGHTS="cc0"))
    assert "12 metadata only" in strict.stdout
    assert photos_asked_for(site) == []
    again = crawl("gallery", *whole(site), out=tmp_path / "out", settings=trusting(site, RIGHTS="cc0"))
    assert "0 metadata only" in again.stdout and "12 were known already" in again.stdout
    wider = crawl("gallery", *whole(site), out=tmp_path / "out", settings=trusting(site))
    assert "12 stored" in wider.stdout
    assert sorted(row["status"] for row in rows(tmp_path / "out")) == ["metadata_only"] * 12 + ["stored"] * 12


def test_a_budget_is_met_exactly(site, tmp_path):
    budget = trusting(site, CLOSESPIDER_ITEMCOUNT=5)
    for expected in (5, 5, 2):
        site.forget()
        run = crawl("gallery", *whole(site), out=tmp_path / "out", settings=budget)
        assert f"{expected} stored" in run.stdout, run.stdout
        assert "Traceback" not in run.stdout, run.stdout[run.stdout.find("Traceback") :]
        assert len(photos_asked_for(site)) == expected
    check_whole(site, tmp_path / "out")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_crawl_that_ends_early_is_continued(site, tmp_path, end):
    out = tmp_path / "out"
    pace = trusting(site, AUTOTHROTTLE_START_DELAY=0.15, DOWNLOAD_DELAY=0.15, FEED_EXPORT_BATCH_ITEM_COUNT=4)
    process = crawling.start("gallery", *whole(site), out=out, settings=pace)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and len(list(out.glob("originals/*.jpg"))) < 5:
        time.sleep(0.02)
    os.kill(process.pid, end)
    assert process.wait(20) in (0, -9)
    stored = {path.stem for path in out.glob("originals/*.jpg")}
    recorded = len(rows(out))
    if end == signal.SIGKILL:
        assert recorded < len(stored) < 12
    else:
        assert recorded == len(stored)

    run = crawl("gallery", *whole(site), out=out, settings=trusting(site))
    assert run.returncode == 0, run.stdout
    check_whole(site, out)
    for path in set(photos_asked_for(site)):
        if hashlib.sha1(f"{site.url}{path}".encode()).hexdigest() in stored:
            assert photos_asked_for(site).count(path) == 1


def test_private_addresses_are_not_visited_in_any_notation(site, tmp_path):
    port = site.host.split(":")[1]
    hosts = [
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "localhost",
        "localhost.",
        "0",
    ]
    urls = [f"http://{host}:{port}/photos/p{i}.jpg" for i, host in enumerate(hosts)]
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        urls.append(f"http://127.0.0.1:{other.getsockname()[1]}/photos/p9.jpg")
        run = crawl("gallery", *few(site, "p11.jpg", *urls), out=tmp_path / "out", settings=trusting(site))
        with pytest.raises(BlockingIOError):
            other.accept()
    assert "Traceback" not in run.stdout, run.stdout[run.stdout.find("Traceback") :]
    expected = {f"p{i}.jpg": ("rejected", "private_address") for i in range(len(urls))}
    assert outcome(tmp_path / "out") == expected | {"p11.jpg": ("stored", None)}
    assert site.paths() == ["/robots.txt", "/few", "/photos/p11.jpg"]


def test_a_private_start_is_an_error(site, tmp_path):
    run = crawl("gallery", *whole(site), out=tmp_path / "out")
    assert run.returncode == 1
    assert "cannot read" in run.stdout and f"set PRIVATE_HOSTS={site.host}" in run.stdout
    assert "Traceback" not in run.stdout, run.stdout[run.stdout.find("Traceback") :]
    assert site.paths() == []


def test_crawl_delay_spaces_every_request(tmp_path):
    with website.serve("website:slow_gallery", tmp_path) as site:
        run = crawl("gallery", *few(site, "p1.jpg", "p2.jpg", "p3.jpg"), out=tmp_path / "out", settings=trusting(site))
        assert "3 stored" in run.stdout, run.stdout
        times = [request["time"] for request in site.requests()]
    assert len(times) == 5
    assert all(b - a > 0.65 for a, b in zip(times[1:], times[2:], strict=False))


def test_a_busy_server_is_given_its_time(site, tmp_path):
    run = crawl("gallery", *few(site, "later.jpg"), out=tmp_path / "out", settings=trusting(site))
    assert "1 stored" in run.stdout, run.stdout
    first, second = (r["time"] for r in site.requests() if r["path"] == "/photos/later.jpg")
    assert 1.9 < second - first < 5

    site.forget()
    run = crawl("gallery", *few(site, "closed.jpg", "p1.jpg", "p2.jpg"), out=tmp_path / "out", settings=trusting(site))
    assert run.returncode == 1
    assert "asks to be left alone for 2.0 h" in run.stdout
    assert "Traceback" not in run.stdout, run.stdout[run.stdout.find("Traceback") :]
    assert outcome(tmp_path / "out")["closed.jpg"] == ("failed", "busy")
    assert photos_asked_for(site).count("/photos/closed.jpg") == 1


def test_what_never_ends(site, tmp_path):
    limits = trusting(site, DOWNLOAD_TIMEOUT=1, RETRY_TIMES=0, MAX_BYTES=1_000_000)
    run = crawl("gallery", *few(site, "slow.jpg", "endless.jpg", "dropped.jpg"), out=tmp_path / "out", settings=limits)
    assert outcome(tmp_path / "out") == {
        "slow.jpg": ("failed", "timed_out"),
        "endless.jpg": ("rejected", "too_large"),
        "dropped.jpg": ("failed", "network"),
    }, run.stdout
    calendar = [f"start={site.url}/calendar/0", *FLAT, "next=a.next::attr(href)"]
    run = crawl("gallery", *calendar, out=tmp_path / "out", settings=trusting(site))
    assert "5 pages in a row brought no new photo" in run.stdout
    assert sum(path.startswith("/calendar/") for path in site.paths()) == 6


def test_a_page_that_cannot_be_read_is_an_error(site, tmp_path):
    for start, reason in [("nowhere", "answered 404"), ("private/page", "robots.txt")]:
        run = crawl("gallery", f"start={site.url}/{start}", *FLAT, out=tmp_path / "out", settings=trusting(site))
        assert run.returncode == 1
        assert f"cannot read {site.url}/{start}: the " in run.stdout and reason in run.stdout
        assert "Traceback" not in run.stdout, run.stdout[run.stdout.find("Traceback") :]


@pytest.mark.parametrize("part", ["originals", "records"])
def test_what_cannot_be_stored_is_an_error(site, tmp_path, part):
    out = tmp_path / "out"
    crawl("gallery", f"start={site.url}/nowhere", *FLAT, out=out, settings=trusting(site))
    (out / part).write_bytes(b"in the way")
    run = crawl("gallery", *whole(site), out=out, settings=trusting(site, CLOSESPIDER_ITEMCOUNT=2))
    assert run.returncode == 1, run.stdout
    assert "Traceback" not in run.stdout, run.stdout[run.stdout.find("Traceback") :]
    (out / part).unlink()
    run = crawl("gallery", *whole(site), out=out, settings=trusting(site))
    assert run.returncode == 0, run.stdout
    assert {row["url"] for row in rows(out) if row["status"] == "stored"} == {
        f"{site.url}/photos/{name}" for name in website.PHOTOS
    }


@pytest.mark.parametrize(
    "out, contact, args, sentence",
    [
        (None, "a@b.org", [], "say where photographs go: -s OUT="),
        ("out", "", [], "say who is crawling: -s CONTACT="),
        ("out", "me", [], "neither an e-mail address nor a URL"),
        ("ftp://x/y", "a@b.org", [], "is none of a path"),
        ("out", "a@b.org", ["rights=fine"], "no statement of rights"),
        ("out", "a@b.org", ["photo=img"], "end it with ::attr(src)"),
    ],
)
def test_impossible_crawls_do_not_start(tmp_path, out, contact, args, sentence):
    out = str(tmp_path / "out") if out == "out" else out
    given = dict(arg.split("=", 1) for arg in ["start=http://127.0.0.1:9/", "photo=img::attr(src)", *args])
    run = crawl("gallery", *(f"{k}={v}" for k, v in given.items()), out=out, settings={"CONTACT": contact})
    assert run.returncode == 2
    assert sentence in " ".join(run.stdout.split())
    assert "Traceback" not in run.stdout, run.stdout[run.stdout.find("Traceback") :]


def test_the_same_crawl_into_a_bucket(site, moto_s3, tmp_path, monkeypatch):
    _crawl_into_a_bucket(site, moto_s3, monkeypatch)


@pytest.mark.real_s3
def test_the_same_crawl_into_a_real_bucket(site, radosgw, tmp_path, monkeypatch):
    _crawl_into_a_bucket(site, radosgw, monkeypatch)


def _crawl_into_a_bucket(site, server, monkeypatch) -> None:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    out = server.make_bucket("crawled") + "/photographs"
    run = crawl("gallery", *whole(site), out=out, settings=trusting(site))
    assert run.returncode == 0, run.stdout
    check_whole(site, out)
    site.forget()
    run = crawl("gallery", *whole(site), out=out, settings=trusting(site))
    assert "12 were known already" in run.stdout
    assert photos_asked_for(site) == []
