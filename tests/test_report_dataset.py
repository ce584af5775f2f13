"""The page of a clustered dataset: what it keeps of a stream, its colors, its contact sheets, and the page itself."""

from __future__ import annotations

import hashlib
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import test_report
from PIL import Image

from colorize_core.report import dataset, license, plots
from colorize_core.report.dataset import write_dataset_report
from colorize_core.report.draw import Draw, lot
from colorize_core.report.palette import Palette, take_pixels
from colorize_core.report.sheet import make_sheet, open_thumbnail
from colorize_core.report.tally import Tally
from colorize_core.storage import Damaged, Store

chromium = test_report.chromium
BY_SA = "https://creativecommons.org/licenses/by-sa/4.0/"
INKS = [(150, 40, 30), (40, 90, 160), (110, 130, 50)]
HOSTILE = {
    "title": "</style><script>alert('title')</script> \u202egpj",
    "creator": '"><img src=x onerror=alert(1)>',
    "category": "<b>bold</b> & \u2028 category",
    "license": "<i>mine</i> {{ 7 * 7 }}",
    "license_url": None,
    "page_url": "javascript:alert('page')",
    "url": "https://example.org/a%22b?x=<y>&z='\"",
    "source": "</title><svg onload=alert(1)>",
}


def thumbnail(ink, size=(120, 90), seed=0) -> bytes:
    """A picture around one color, dark on its left."""
    noise = np.random.default_rng(seed).normal(0, 12, (size[1], size[0], 3))
    codes = np.clip(np.array(ink) * np.linspace(0.4, 1.3, size[0])[None, :, None] + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(codes).save(out, "JPEG", quality=90)
    return out.getvalue()


def photo(i: int, cluster: int, **values) -> dict:
    """A row of the dataset, with some of its values replaced."""
    sizes = [(120, 90), (90, 120), (128, 64)]
    fields = {
        "url_sha1": hashlib.sha1(f"{i}".encode()).hexdigest(),
        "url": f"https://upload.example.org/{i}.jpg",
        "page_url": f"https://example.org/File:{i}.jpg",
        "source": "commons",
        "title": f"Photograph {i}",
        "creator": "Jane Doe",
        "date": "1943",
        "license": "CC BY-SA 4.0",
        "license_url": BY_SA,
        "category": "Kodachromes",
        "path": f"originals/{i}.jpg",
        "sha256": hashlib.sha256(f"{i}".encode()).hexdigest(),
        "thumbnail": thumbnail(INKS[cluster % 3], sizes[i % 3], i),
        "cluster": cluster,
        "split": "train" if i % 5 else "val" if i % 2 else "test",
    }
    return fields | values


def dropped(i: int, reason: str, **values) -> dict:
    fields = {
        "key": f"originals/dropped-{i}.jpg",
        "url": f"https://upload.example.org/dropped-{i}.jpg",
        "category": "Kodachromes",
        "reason": reason,
        "message": f"it is {reason}",
        "twin_of": None,
        "sha256": hashlib.sha256(f"dropped {i}".encode()).hexdigest(),
        "thumbnail": thumbnail((120, 120, 120), (96, 72), i),
    }
    return fields | values


def write(store: Store, photos: list[dict], gone: list[dict], **facts) -> Store:
    """An output folder as the clustering leaves it; a fact of None is left out."""
    for folder, rows in (("dataset", photos), ("dropped", gone)):
        for part in range(0, len(rows), 40):
            out = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows[part : part + 40]), out)
            store.put(f"{folder}/{part:05}.parquet", out.getvalue())
    k = max((row["cluster"] for row in photos), default=-1) + 1
    sizes = [sum(row["cluster"] == number for row in photos) for number in range(k)]
    nearest = [[row["sha256"] for row in photos if row["cluster"] == number][:20] for number in range(k)]
    summary = {
        "feature": "color",
        "k": k,
        "photographs": len(photos),
        "looked_at": len(photos) + len(gone),
        "sizes": sizes,
        "silhouette": [[2, 0.31], [3, 0.42], [4, -0.05]],
        "nearest": nearest,
        "source": "s3://archive/photographs",
        "command": "python -m jobs.cluster '<in>' out",
        "made_at": "2026-03-01T09:00:00+00:00",
        "versions": {"autochrome": "0.1.0"},
        "fitted_on": len(photos),
        "digest": "d" * 64,
    }
    told = {name: value for name, value in (summary | facts).items() if value is not None}
    store.put("clusters.json", json.dumps(told).encode())
    return store


def rows() -> tuple[list[dict], list[dict]]:
    """90 photographs in three clusters, 17 dropped ones; some of them hostile."""
    photos = [photo(i, 0 if i < 50 else 1 if i < 80 else 2) for i in range(89)]
    photos.append(photo(89, 2, **HOSTILE))
    photos[3]["thumbnail"] = b"no picture"
    gone = [dropped(i, "grayscale") for i in range(8)]
    gone += [dropped(8 + i, "near_duplicate", twin_of=photos[20 + i]["sha256"]) for i in range(3)]
    gone.append(dropped(11, "near_duplicate", twin_of=photos[30]["path"]))
    gone.append(dropped(12, "truncated", thumbnail=None, key="<script>alert('key')</script>.jpg"))
    gone += [dropped(13 + i, "bordered") for i in range(3)]
    gone.append(dropped(16, "<u>new</u> reason", message="<script>alert('message')</script>"))
    return photos, gone


def html(store: Store) -> str:
    return store.read("report/index.html").decode()


# --- what is kept of a stream -------------------------------------------------------------------------------------


def test_a_draw_holds_few_and_the_same_whatever_the_order():
    names = [f"photo {i}" for i in range(5_000)]
    kept = []
    for order in (names, names[::-1], names + names):
        draw: Draw[str] = Draw(20)
        most = 0
        for name in order:
            draw.add(lot(name), name)
            most = max(most, len(draw._held))
        assert most == 20
        kept.append(draw.things())
    assert kept[0] == kept[1] == kept[2] == sorted(names, key=lot)[:20]
    nothing: Draw[str] = Draw(0)
    nothing.add(1, "x")
    assert nothing.things() == []


def test_a_tally_is_exact_for_few_values_and_bounded_for_many():
    tally = Tally(most=100)
    tally.add(["a", "b", None, " ", "a"])
    assert tally.top(2) == ([("", 2), ("a", 2)], 1)
    for i in range(10_000):
        tally.add(["frequent", f"rare {i}", "x" * 10_000])
        assert len(tally._counts) <= 101
    (first, second), others = tally.top(2)
    assert (first, second) == (("frequent", 10_000), ("x" * 300, 10_000)) and others == 10_005


def test_the_page_holds_a_batch_and_its_choice_not_the_collection(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "SAMPLE", 7)
    monkeypatch.setattr(dataset, "BATCH", 16)
    monkeypatch.setattr(dataset, "DROPPED_SHOWN", 4)
    store = write(Store(str(tmp_path)), [photo(i, i % 2) for i in range(300)], [dropped(i, "tiny") for i in range(90)])
    made, held, batches = [], [], []
    read = dataset._batches

    def watched(*args):
        for batch in read(*args):
            batches.append(batch.num_rows)
            held.append(sum(len(c.drawn._held) + len(c.pixels._held) + len(c.nearest) for c in made))
            yield batch

    monkeypatch.setattr(dataset, "_batches", watched)
    empty = dataset._Page._empty
    monkeypatch.setattr(dataset._Page, "_empty", lambda page: made.append(empty(page)) or made[-1])
    report = write_dataset_report(store, 10)
    assert (report.photographs, report.dropped) == (300, 90)
    assert max(batches) == 16 and sum(batches) == 390
    assert max(held) <= 2 * (10 + 12 + 7 + 12)


# --- colors -------------------------------------------------------------------------------------------------------


def test_a_palette_counts_colors_and_says_which():
    blue = Palette(take_pixels(Image.new("RGB", (64, 64), (40, 90, 200))))
    assert blue.words() == "mid-toned, vivid; mostly blue" and blue.share.tolist() == [1.0]
    assert len(blue.swatches()) == 1
    mixed = Palette(np.array([[0, 0, 0]] * 3 + [[255, 255, 255]], np.uint8))
    assert [share for _, share in mixed.swatches()] == [0.75, 0.25]
    assert mixed.words() == "dark, nearly gray"
    nothing = Palette(np.zeros((0, 3), np.uint8))
    assert nothing.swatches() == [] and nothing.words() == "no color known"


@pytest.mark.parametrize(
    ("code", "hue"),
    [
        ((255, 0, 0), "red"),
        ((240, 130, 20), "orange"),
        ((250, 230, 40), "yellow"),
        ((30, 160, 40), "green"),
        ((0, 190, 190), "cyan"),
        ((70, 130, 220), "blue"),
        ((130, 40, 190), "purple"),
        ((240, 90, 170), "pink"),
    ],
)
def test_hues_have_the_names_people_give_them(code, hue):
    assert Palette(np.array([code], np.uint8)).words().endswith(f"mostly {hue}")


def test_the_drawings_are_in_the_colors_they_count():
    palette = Palette(take_pixels(open_thumbnail(thumbnail(INKS[1]))))
    for drawing in (palette.map("Colors of <1>"), palette.levels("Lightness of <1>")):
        tree = ElementTree.fromstring(str(drawing))
        fills = [shape.get("fill") for shape in tree.iter() if shape.get("fill")]
        assert tree.find("figcaption").text.endswith("<1>") and len(fills) > 10
        colored = [fill for fill in fills if int(fill[5:], 16) > int(fill[1:3], 16) + 40]
        assert len(colored) > len(fills) / 3  # blue, as the picture


def test_a_line_marks_the_chosen_point():
    tree = ElementTree.fromstring(str(plots.line("Silhouette", "k", "mean", [(2, 0.31), (3, -0.1), (4, 0.2)], 4)))
    assert tree.find("svg/desc").text == "2: 0.31; 3: -0.10; 4: 0.20, chosen"
    assert [c.get("class") for c in tree.iter("circle")] == ["dot", "dot", "mark"]
    assert "-0" not in [text.text for text in tree.iter("text")]
    ElementTree.fromstring(str(plots.line("One", "k", "mean", [(2, 0.0)])))


# --- contact sheets -----------------------------------------------------------------------------------------------


def test_a_cell_shows_its_own_picture():
    inks = [(20 * i, 255 - 20 * i, 128) for i in range(12)]
    pictures = [Image.new("RGB", (90 + 30 * (i % 4), 100), ink) for i, ink in enumerate(inks)]
    sheet = make_sheet(pictures * 3)
    whole = Image.open(io.BytesIO(sheet.jpeg))
    assert whole.size == (sheet.width, sheet.height) and sheet.width <= 2048 and sheet.height > 128
    for cell, ink in zip(sheet.cells, inks * 3, strict=True):
        width = 100 * sheet.width / cell.width
        left, top = -cell.left / 100 * width, -cell.top / 100 * width / cell.ratio
        box = [round(v) for v in (left, top, left + width, top + width / cell.ratio)]
        pixels = np.asarray(whole.crop(tuple(box))).reshape(-1, 3).astype(int)
        assert np.abs(pixels - ink).max() < 12


@pytest.mark.parametrize("jpeg", [None, b"", b"GIF89a", thumbnail(INKS[0])[:200], thumbnail(INKS[0], (2000, 10))])
def test_a_thumbnail_that_is_none_is_left_out(jpeg):
    assert open_thumbnail(jpeg) is None


# --- licenses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "asks"),
    [
        (BY_SA, "CC BY-SA 4.0", "name the author; pass adaptations on under the same license"),
        ("https://creativecommons.org/licenses/by/3.0/us/", "CC BY 3.0 US", "name the author"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0 1.0", "nothing"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "Public Domain Mark 1.0", "nothing"),
        ("http://rightsstatements.org/vocab/InC/1.0/", "In copyright", "permission of the rights holder"),
        ("", "Not stated", "unknown: find out before use"),
    ],
)
def test_licenses_have_names(text, name, asks):
    found = license.describe(text)
    assert (found.name, found.asks, found.href) == (name, asks, text or None)


def test_only_known_licenses_are_linked():
    for text in ("javascript:alert(1)", "https://creativecommons.org.evil.example/licenses/by/4.0/", "Mine\u202e"):
        found = license.describe(text)
        assert found.href is None and "\u202e" not in found.name


# --- the page -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    store = write(Store(str(tmp_path_factory.mktemp("page") / "50% #1? «set»")), *rows())
    report = write_dataset_report(store)
    assert (report.photographs, report.clusters, report.dropped, report.unreadable) == (90, 3, 17, 1)
    return Path(report.uri.removeprefix("file://"))


@pytest.fixture(scope="module")
def links(page) -> test_report.Links:
    found = test_report.Links()
    found.feed(page.read_text())
    return found


def test_the_figures_are_those_of_the_files(page):
    text = " ".join(page.read_text().split())
    for said in (
        "<h1>90 photographs <em>in 3 clusters</em></h1>",
        '<small>50 photographs · 56 % · ',
        '<small>30 photographs · 33 % · ',
        '<small>10 photographs · 11 % · ',
        "<dt>dropped <small>with a reason each</small></dt><dd>17</dd>",
        "<dt>to train on <small>80 %</small></dt><dd>72</dd>",
        "17 of 107 photographs are not in the dataset",
        "The 3 clusters here reach 0.42, the highest of those tried.",
        f'<a href="{BY_SA}" rel="noreferrer">CC BY-SA 4.0</a>',
        "python -m jobs.cluster &#39;&lt;in&gt;&#39; out",
        "Clustered 1 March 2026, 09:00 UTC.",
    ):  # fmt: skip
        assert said in text
    assert "run it again" not in text


def test_reasons_are_told_in_sentences_and_examples(page):
    text = " ".join(page.read_text().split())
    for name, count in (("grayscale", 8), ("near duplicate", 4), ("bordered", 3), ("truncated", 1)):
        assert f'{name}</a></th><td data-label="Photographs" class="n">{count}</td>' in text
    assert dataset.REASONS["grayscale"] in text and dataset.OTHER_REASON in text
    assert text.count('<div class="pair"') == 4
    assert text.count("<span><bdi>it is truncated</bdi></span>") == 1


def test_hostile_words_stay_text(page, links):
    text = page.read_text()
    for mark in (
        "<script",
        "<img src=x",
        "<b>bold",
        "<i>mine",
        "<u>new",
        "<svg onload",
        "javascript:",
        "\u202e",
        "\u2028",
    ):
        assert mark not in text
    assert "&lt;/style&gt;&lt;script&gt;alert(&#39;title&#39;)&lt;/script&gt; \\u202egpj" in text
    assert "{{ 7 * 7 }}" in text
    assert not {"script", "iframe", "object", "form", "input"} & set(links.elements)


def test_scripts_of_anyone_are_refused(page):
    policy = page.read_text().partition('Content-Security-Policy" content="')[2].partition('"')[0]
    assert policy.startswith("default-src 'none';") and "script-src" not in policy and "http" not in policy


def test_links_lead_to_the_web_or_to_files_of_the_report(page, links):
    outside = {link for link in links.found if urlsplit(link).scheme}
    assert {urlsplit(link).scheme for link in outside} == {"https"}
    assert HOSTILE["url"] in outside and "https://example.org/File:7.jpg" in outside
    inside = {link for link in links.found if link not in outside}
    assert inside and all((page.parent / unquote(link)).is_file() for link in inside)
    assert len(inside) == 3 + 4  # a sheet for each cluster and each reason with pictures
    text = page.read_text()
    for target in {part.partition('"')[0] for part in text.split('href="#')[1:]}:
        assert f'id="{target}"' in text
    ids = [part.partition('"')[0] for part in text.split(' id="')[1:]]
    assert len(ids) == len(set(ids))


def test_every_picture_says_what_it_is_and_none_is_shown_twice_in_a_cluster(page, links):
    assert all(image["alt"] for image in links.images)
    photographs = [image["alt"] for image in links.images if "/cluster-" in image["src"]]
    assert len(photographs) == len(set(photographs)) > 70
    assert photographs[0] == "Photograph 0" and "Photograph 3" not in photographs


def test_the_same_folder_gives_the_same_page(tmp_path):
    photos, gone = rows()
    pages = []
    for name, order in (("a", 1), ("b", -1)):
        folder = tmp_path / name
        facts = {"nearest": [[photos[i]["sha256"]] for i in (0, 50, 80)]}
        write_dataset_report(write(Store(str(folder)), photos[::order], gone[::order], **facts))
        lines = (folder / "report/index.html").read_text().replace(str(folder), "").splitlines()
        pages.append([line for line in lines if not line.startswith("<footer>")])
    assert pages[0] == pages[1]


@pytest.mark.parametrize("per_cluster", [0, 1, 5])
def test_no_more_pictures_than_asked_for(tmp_path, per_cluster):
    store = write(Store(str(tmp_path)), rows()[0], [])
    assert write_dataset_report(store, per_cluster).shown <= 3 * per_cluster
    assert "Nothing was dropped" in html(store)
    with pytest.raises(ValueError, match="0 or more"):
        write_dataset_report(store, -1)


def test_a_dataset_of_nothing(tmp_path):
    store = write(Store(str(tmp_path)), [], rows()[1], silhouette=None, nearest=[], command=None)
    report = write_dataset_report(store)
    assert (report.photographs, report.clusters, report.dropped) == (0, 0, 17)
    assert "No photograph <em>was kept</em>" in html(
        store
    ) and "every photograph that was looked at was dropped" in html(store)


def test_a_summary_of_little_and_files_of_few_columns(tmp_path):
    store = Store(str(tmp_path))
    store.put("clusters.json", b'{"feature": "pixels", "k": 4, "sizes": [2, 1, 0, 0]}')
    out = io.BytesIO()
    pq.write_table(pa.table({"cluster": [0, 0, 1], "url": ["https://example.org/x.jpg", None, None]}), out)
    store.put("dataset/a.parquet", out.getvalue())
    report = write_dataset_report(store)
    assert (report.photographs, report.clusters, report.shown) == (3, 4, 0)
    assert "No photograph is in this cluster." in html(store) and "Not stated" in html(store)


def test_a_summary_that_tells_something_else_is_contradicted(tmp_path):
    store = write(Store(str(tmp_path)), rows()[0], [], sizes=[50, 30, 11])
    write_dataset_report(store)
    assert "counts 91 photographs, but the files under dataset/ hold 90" in html(store)


def test_a_folder_that_was_not_clustered_is_refused_with_a_sentence(tmp_path):
    store = Store(str(tmp_path))
    with pytest.raises(LookupError, match=r"holds no clusters\.json, so there is no clustered dataset"):
        write_dataset_report(store)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("summary", [b"{", b"[]", b'{"feature": "color"}', b"\xff"])
def test_a_summary_that_cannot_be_read_is_named(tmp_path, summary):
    (tmp_path / "clusters.json").write_bytes(summary)
    with pytest.raises(Damaged, match=r"clusters\.json .* run the clustering again"):
        write_dataset_report(Store(str(tmp_path)))


def test_a_damaged_file_is_named(tmp_path):
    store = write(Store(str(tmp_path)), *rows())
    store.put("dataset/00040.parquet", store.read("dataset/00040.parquet")[:-100])
    with pytest.raises(Damaged, match=r"00040\.parquet is not a readable Parquet file"):
        write_dataset_report(store)


# --- the page in a browser ----------------------------------------------------------------------------------------


@pytest.fixture
def browser(chromium, page):
    test_report.show(chromium, page, 1280)
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    messages = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert urls and {urlsplit(url).scheme for url in urls} <= {"file", "data"}


@pytest.mark.browser
def test_every_picture_is_whole_and_fills_its_cell(browser):
    shown = browser.execute_async_script(
        """
        const done = arguments[0];
        const images = [...document.images];
        Promise.allSettled(images.map(image => image.decode())).then(all => done(all.map((one, i) => {
          const image = images[i].getBoundingClientRect(), cell = images[i].parentElement.getBoundingClientRect();
          return one.status === "fulfilled" && images[i].complete && images[i].naturalWidth > 90 && cell.width > 30 &&
            image.left <= cell.left && image.right >= cell.right &&
            image.top <= cell.top && image.bottom >= cell.bottom;
        })));
        """
    )
    assert len(shown) > 70 and all(shown)


@pytest.mark.browser
def test_hostile_words_run_nothing(browser):
    titles = browser.execute_script("return [...document.querySelectorAll('.cell')].map(c => c.title)")
    assert any("<script>alert('title')</script>" in title for title in titles)
    assert not browser.find_elements("css selector", "script, main :is(b, i:not(.swatches i), u), svg[onload]")


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 400, 768, 1000, 1280])
def test_the_page_fits_its_window(browser, page, width):
    test_report.show(browser, page, width)
    wide = browser.execute_script(
        """
        const width = document.documentElement.clientWidth;
        return [...document.querySelectorAll("body *:not(.skip):not(.hidden)")]
          .filter(e => e.getBoundingClientRect().right > width + 0.5 && !e.closest("svg, .cell"))
          .map(e => e.outerHTML.slice(0, 80).toWellFormed());
        """
    )
    assert wide == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, page, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    test_report.show(browser, page, 1280)
    pairs = browser.execute_script(
        """
        const ground = e => { for (; e; e = e.parentElement) {
          const color = getComputedStyle(e).backgroundColor; if (color !== "rgba(0, 0, 0, 0)") return color; } };
        return [...document.querySelectorAll("main *, header *, footer *")]
          .filter(e => !e.closest("svg, .cell, .hidden") &&
                       [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
          .map(e => [e.outerHTML.slice(0, 60).toWellFormed(), getComputedStyle(e).color, ground(e)]);
        """
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert len(pairs) > 80
    paper = test_report.luminance(pairs[0][2])
    assert paper > 0.8 if scheme == "light" else paper < 0.05
    for element, ink, ground in pairs:
        low, high = sorted([test_report.luminance(ink), test_report.luminance(ground)])
        assert (high + 0.05) / (low + 0.05) >= 4.5, element
