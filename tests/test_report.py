"""The report page: its choice of photos, its pictures, and the page itself in a real browser."""

from __future__ import annotations

import html.parser
import io
import json
import shutil
import time
import xml.etree.ElementTree as ElementTree
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
import pyarrow as pa
import pytest
import tifffile
from outputs import HOSTILE_KEYS, PHOTOS, record, run, table, write_output, write_records, write_run
from PIL import Image

from colorize_core.ledger import read_records
from colorize_core.records import SCHEMA, Record
from colorize_core.report import doubt, plots, write_report
from colorize_core.report.page import draw_plots
from colorize_core.report.pictures import make_pair, shrink_derivative
from colorize_core.report.sample import choose
from colorize_core.storage import Store
from jobs.report import main

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
TROUBLES = 10_000


# --- the choice ---------------------------------------------------------------------------------------------------


def colored(n: int):
    return [
        record(
            f"{i}.jpg",
            output_key=f"photos/{i}.jpg.jpg",
            colorfulness=float(i),
            uncertainty=1 - i / n,
            width=10,
            height=10,
        )
        for i in range(n)
    ]


def test_the_choice_is_a_draw_the_most_colorful_and_the_least_sure():
    rows = colored(200)
    groups = choose(table(rows), 30)
    assert [(name, len(chosen)) for name, chosen in groups.items()] == [("unsure", 10), ("drawn", 10), ("colorful", 10)]
    keys = [row["key"] for chosen in groups.values() for row in chosen]
    assert len(set(keys)) == 30
    drawn = {row["key"] for row in groups["drawn"]}
    most = [f"{i}.jpg" for i in range(199, -1, -1) if f"{i}.jpg" not in drawn]
    assert [row["key"] for row in groups["colorful"]] == most[:10]
    assert [row["key"] for row in groups["unsure"]] == [k for k in reversed(most) if k not in most[:10]][:10]
    assert choose(table(rows[::-1]), 30) == groups


def test_a_small_collection_is_shown_whole_and_only_what_can_be_shown():
    rows = colored(5)
    rows[3].colorfulness = rows[3].uncertainty = None
    rows.append(record("huge.tif", output_key="photos/huge", width=40_000, height=30_000))
    rows.append(record("bad.jpg", status="rejected"))
    groups = choose(table(rows), 60)
    assert {name: [row["key"] for row in chosen] for name, chosen in groups.items()} == {
        "all": ["0.jpg", "1.jpg", "2.jpg", "4.jpg", "3.jpg"]  # the least sure first, then those that nobody knows of
    }
    assert not any(choose(table(rows), 0).values())
    assert [len(chosen) for chosen in choose(table(rows), 4).values()] == [1, 2, 1]
    assert not any(choose(table([]), 9).values())


# --- doubts -------------------------------------------------------------------------------------------------------


def test_doubts_have_reasons():
    rows = [record(f"{i}.jpg", uncertainty=i / 100, colorfulness=40.0, gamut_mapped=0.2) for i in range(40)]
    rows[0].gamut_mapped = 0.21
    rows[1].colorfulness = 4.9
    rows[39].colorfulness = 0.0
    rows.append(record("unknown.jpg"))
    found = doubt.doubtful(table(rows))
    assert dict(zip(found["key"].to_pylist(), found["doubts"].to_pylist(), strict=True)) == {
        "0.jpg": "muted",
        "1.jpg": "nearly gray",
        "38.jpg": "unsure",
        "39.jpg": "unsure, nearly gray",
    }


def test_the_list_puts_those_without_a_result_first_and_says_how_many_there_are(monkeypatch):
    monkeypatch.setattr(doubt, "MOST", 3)
    rows = [record("gray.jpg", colorfulness=0.0, output_key="photos/gray.jpg")]
    rows += [record(f"{i}.jpg", status="failed", error_class="NotFound") for i in range(2)]
    rows += [record("b.jpg", colorfulness=1.0, uncertainty=0.5)]
    listed, count = doubt.attention(table(rows), {("b.jpg", 0): "hints.html#b", ("b.jpg", 1): "hints.html#c"})
    assert [row[:4] for row in listed][:2] == [["0.jpg", 0, "failed", "NotFound"], ["1.jpg", 0, "failed", "NotFound"]]
    assert listed[2][0] == "b.jpg" and listed[2][-1] == "hints.html#b"
    assert len(listed) == 3 and count == 4


@pytest.mark.parametrize("key", [*HOSTILE_KEYS, *(key for _, _, key, _ in PHOTOS)])
def test_a_link_leads_to_its_key_and_nowhere_else(key):
    parts = urlsplit(doubt.link(f"photos/{key}"))
    assert not (parts.scheme or parts.netloc or parts.query or parts.fragment)
    assert unquote(parts.path) == f"../photos/{key}"


def test_embedded_rows_cannot_leave_their_element():
    text = doubt.embed([[key] for key in HOSTILE_KEYS])
    assert not set("<>&") & set(text) and text.isascii()
    assert [row[0] for row in json.loads(text)] == HOSTILE_KEYS


# --- pictures -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """(source, output, rows by key); read only."""
    source, output = write_output(tmp_path_factory.mktemp("pictures"), 0)
    return source, output, {row["key"]: row for row in read_records(output).to_pylist()}


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


def chroma(rgb: np.ndarray) -> float:
    return float(np.mean(rgb.max(-1) - rgb.min(-1)))


def test_a_pair_is_the_scan_and_the_result(output):
    source, out, rows = output
    pair = make_pair(out, source, rows["still lives/coffee.jpg"])
    before, after = pixels(pair.before), pixels(pair.after)
    assert before.shape == after.shape == (pair.height, pair.width, 3) == (400, 600, 3)
    assert pair.from_scan and chroma(before) < 1 and chroma(after) > 30
    scan = np.asarray(Image.open(io.BytesIO(source.read("still lives/coffee.jpg")))).astype(int)
    assert np.mean(np.abs(before[..., 1] - scan)) < 3
    assert b"compositeWithTrainedAlgorithmicMedia" in pair.after
    assert b"compositeWithTrainedAlgorithmicMedia" not in pair.before


def test_the_tint_of_a_toned_print_is_shown(output):
    source, out, rows = output
    pair = make_pair(out, source, rows["portraits/carte de visite.tif"])
    red, _, blue = pixels(pair.before).mean((0, 1))
    assert pair.from_scan and red > blue + 20


def test_the_long_side_is_640(output):
    source, out, rows = output
    pair = make_pair(out, source, rows["plates/deep field.jpg"])
    assert (pair.width, pair.height) == (640, 558)


@pytest.mark.parametrize("why", ["no source", "another version", "gone"])
def test_without_its_scan_a_photo_shows_its_own_lightness(output, why, tmp_path):
    source, out, rows = output
    row = dict(rows["still lives/coffee.jpg"])
    if why == "another version":
        row["source_etag"] = "older"
    stores = {"no source": None, "another version": source, "gone": Store(str(tmp_path))}
    pair = make_pair(out, stores[why], row)
    assert not pair.from_scan and chroma(pixels(pair.before)) < 1


@pytest.mark.parametrize("kind", ["tiff16", "png16", "png with alpha", "tiff8"])
def test_every_kind_of_derivative_can_be_shown(tmp_path, kind):
    ramp = np.linspace(0, 65535, 900).astype(np.uint16)
    codes = np.stack([np.tile(ramp, (30, 1)), np.full((30, 900), 30000, np.uint16), np.tile(ramp[::-1], (30, 1))], -1)
    path = tmp_path / ("x.tif" if kind.startswith("tiff") else "x.png")
    if kind == "tiff16":
        tifffile.imwrite(path, codes, photometric="rgb")
    elif kind == "tiff8":
        tifffile.imwrite(path, (codes >> 8).astype(np.uint8), photometric="rgb")
    elif kind == "png16":
        cv2.imwrite(str(path), codes[..., ::-1])
    else:
        Image.fromarray((codes >> 8).astype(np.uint8)).convert("RGBA").save(path)
    small = shrink_derivative(path)
    wanted = np.asarray(Image.fromarray((codes >> 8).astype(np.uint8)).resize((640, 21), Image.Resampling.LANCZOS))
    assert small.shape == (21, 640, 3) and small.dtype == np.uint8
    assert np.abs(small.astype(int) - wanted).max() <= 2


# --- plots --------------------------------------------------------------------------------------------------------


def test_plots_are_well_formed_and_say_what_they_show():
    figure = plots.bars("Kinds & <more>", "photos", ["</svg>&", "b"], [3, 1], ["3", "1"])
    tree = ElementTree.fromstring(str(figure))
    assert tree.find("figcaption").text == "Kinds & <more>"
    assert tree.find("svg/desc").text == "</svg>&: 3; b: 1"
    figure = ElementTree.fromstring(str(plots.columns("Sizes", "megapixels", "photos", ["0", "1", "2"], [0, 7])))
    texts = [text.text for text in figure.iter("text")]
    assert {"megapixels", "photos", "0", "1", "2", "10"} <= set(texts)
    heights = [float(bar.get("height")) for bar in figure.iter("rect")]
    assert heights == [0, 105]


def test_every_plot_of_a_collection_is_drawn_and_none_of_an_empty_one(output):
    rows = list(output[2].values())
    titles = [
        ElementTree.fromstring(str(plot)).find("figcaption").text
        for plot in draw_plots(pa.Table.from_pylist(rows, SCHEMA))
    ]
    assert titles == [
        "Size of the scans",
        "Colorfulness of the results",
        "How unsure the model was",
        "Tone of the scans",
        "File formats",
        "Time on one photo, by stage",
    ]
    assert draw_plots(table([])) == []
    assert draw_plots(table([record("a.jpg", status="failed", error_class="x")])) == []


# --- the page -----------------------------------------------------------------------------------------------------


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found: list[str] = []
        self.elements: list[str] = []
        self.images: list[dict] = []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        links = [value for name, value in attrs if name in ("href", "src")]
        self.found += [link for link in links if not link.startswith(("#", "data:"))]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """The page of an output folder with 10,000 troubles."""
    _, output = write_output(tmp_path_factory.mktemp("page") / "50% #1? «archive»", TROUBLES)
    report = write_report(output)
    assert (report.shown, report.unreadable) == (len(PHOTOS), [])
    return Path(report.uri.removeprefix("file://"))


def test_every_link_of_the_page_is_relative_and_leads_to_a_file(page):
    links = Links()
    links.feed(page.read_text())
    assert len(links.found) == 4 * len(PHOTOS)
    for link in links.found:
        parts = urlsplit(link)
        assert not (parts.scheme or parts.netloc or parts.path.startswith("/"))
        assert (page.parent / unquote(parts.path)).is_file()
    assert links.elements.count("script") == 2 and "link" in links.elements and "iframe" not in links.elements


def test_pictures_wait_for_their_turn_and_leave_room_for_themselves(page):
    links = Links()
    links.feed(page.read_text())
    assert len(links.images) == 2 * len(PHOTOS)
    for image in links.images:
        with Image.open(page.parent / image["src"]) as picture:
            assert picture.size == (int(image["width"]), int(image["height"]))
        assert image["loading"] == "lazy" and image["alt"]


def test_hostile_names_stay_text(page):
    text = page.read_text()
    for name in ("<script>alert", "<img src=x", "<b>gone", "<b>saucer", "\u202e", "\u2028"):
        assert name not in text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/" in text


def test_the_same_folder_gives_the_same_page(tmp_path):
    _, output = write_output(tmp_path, 3)

    def contents():
        write_report(output, 6)
        return {e.key: e.etag.partition("-")[0] for e in output.list("report/")}, [
            line for line in output.read("report/index.html").splitlines() if not line.startswith(b"<footer>")
        ]

    assert contents() == contents()


def test_a_missing_derivative_is_reported_and_the_rest_shown(tmp_path, capsys):
    _, output = write_output(tmp_path, 0)
    (tmp_path / "color out/photos/still lives/coffee.jpg.jpg").unlink()
    assert main([str(tmp_path / "color out")]) == 0
    said = capsys.readouterr()
    assert f"{len(PHOTOS) - 1} shown" in said.out and "still lives/coffee.jpg is not shown" in said.err
    assert "could not be shown" in output.read("report/index.html").decode()


def test_scans_out_of_reach_are_told_once(tmp_path, capsys):
    _, output = write_output(tmp_path, 0)
    shutil.rmtree(tmp_path / "scans")
    assert main([str(tmp_path / "color out")]) == 0
    said = capsys.readouterr()
    assert f"{len(PHOTOS)} shown" in said.out and len(said.err.splitlines()) == 1
    assert output.read("report/index.html").decode().count("The scan was out of reach") == len(PHOTOS)


@pytest.mark.parametrize("kind", ["records only", "run only", "all rejected"])
def test_a_page_of_little(tmp_path, kind):
    store = Store(str(tmp_path))
    if kind != "records only":
        write_run(store, run(planned=0, done=0, rate_per_s=0.0, model=None, recipe=None))
    if kind != "run only":
        write_records(store, [record("a.jpg", status="rejected", error_class="corrupt")])
    assert main([str(tmp_path)]) == 0
    assert "No photograph in color yet" in store.read("report/index.html").decode()


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_a_folder_that_is_no_output_is_refused_with_a_sentence(tmp_path, capsys, kind):
    folder = tmp_path / "somewhere"
    if kind == "empty":
        folder.mkdir()
    assert main([str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("report: ") and len(said.err.splitlines()) == 1
    assert not (folder / "report").exists()


# --- the page in a browser ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    if not CHROMIUM or not DRIVER:
        pytest.skip("needs Chromium and its driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.set_capability("unhandledPromptBehavior", "ignore")  # an alert would make the next command fail
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.get("about:blank")
    driver.get_log("performance")  # the browser's own start page
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, page):
    show(chromium, page, 1280)
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    messages = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert urls and {urlsplit(url).scheme for url in urls} <= {"file", "data"}


def show(driver, page: Path, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 700}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(page.as_uri())


def shown_rows(browser) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('#list tbody tr')].map(r => r.innerText)")


@pytest.mark.browser
def test_no_picture_is_broken(browser):
    loaded = browser.execute_async_script(
        """
        const done = arguments[0];
        const images = [...document.images];
        images.forEach(image => (image.loading = "eager"));
        Promise.allSettled(images.map(image => image.decode())).then(all => done(
          all.map((one, i) => one.status === "fulfilled" && images[i].naturalWidth > 100 && images[i].alt !== "")));
        """
    )
    assert loaded == [True] * (2 * len(PHOTOS))


@pytest.mark.browser
def test_a_slider_moves_by_key_and_by_pointer(browser):
    from selenium.webdriver import ActionChains, Keys

    compare = browser.find_element("css selector", ".compare")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", compare)

    def edge() -> float:
        """Where the scan ends, as a share of the width, by what is painted."""
        return browser.execute_script(
            """
            const box = arguments[0].getBoundingClientRect();
            const handle = arguments[0].querySelector(".handle").getBoundingClientRect();
            return (handle.left + handle.width / 2 - box.left) / box.width;
            """,
            compare,
        )

    def clip() -> str:
        before = compare.find_element("css selector", ".before")
        return browser.execute_script("return getComputedStyle(arguments[0]).clipPath", before)

    assert edge() == pytest.approx(0.5, abs=0.01)
    half = clip()
    slider = compare.find_element("css selector", "input[type=range]")
    assert slider.accessible_name.startswith("Share of the scan shown: ")
    browser.execute_script("arguments[0].focus()", slider)
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT * 10).perform()
    assert edge() == pytest.approx(0.6, abs=0.01) and clip() != half
    width = compare.size["width"]
    drag = ActionChains(browser).move_to_element(compare).click_and_hold().move_by_offset(int(-0.3 * width), 5)
    drag.release().perform()
    assert edge() == pytest.approx(0.2, abs=0.02)
    assert float(slider.get_attribute("value")) == pytest.approx(20, abs=2)
    ActionChains(browser).move_to_element(compare).perform()  # the button is up: nothing follows the pointer
    assert edge() == pytest.approx(0.2, abs=0.02)


@pytest.mark.browser
def test_ten_thousand_rows_are_filtered_sorted_and_paged(browser):
    found = browser.find_element("id", "found")
    assert found.text == "10,002 listed" and len(shown_rows(browser)) == 25
    search = browser.find_element("id", "filter")
    began = time.monotonic()
    search.send_keys("sheet 00777 tif")
    assert time.monotonic() - began < 10  # fifteen keys
    assert found.text == "1 of 10,002 listed" and "box 015/sheet 00777.tif" in shown_rows(browser)[0]
    browser.execute_script("const f = arguments[0]; f.value = ''; f.dispatchEvent(new Event('input'))", search)

    chips = {chip.text.split()[0]: chip for chip in browser.find_elements("css selector", ".chip")}
    assert browser.find_element("css selector", "#list [aria-sort=descending]").text == "Uncertainty ↓"
    assert all("rejected" in row or "failed" in row for row in shown_rows(browser))  # no result: the least sure of all
    assert [chip.text for chip in chips.values()] == ["all 10,002", "rejected 7,500", "failed 2,500", "doubtful 2"]
    chips["doubtful"].click()
    assert found.text == "2 of 10,002 listed"
    assert chips["doubtful"].get_attribute("aria-pressed") == "true"
    link = browser.find_element("css selector", "#list tbody a").get_attribute("href")
    assert Path(unquote(urlsplit(link).path)).is_file()
    sure = [float(cell.text) for cell in browser.find_elements("css selector", "#list tbody td:nth-child(6)")]
    assert len(set(sure)) == 2 and sure == sorted(sure, reverse=True)
    chips["failed"].click()
    assert all("failed" in row for row in shown_rows(browser))
    browser.find_element("css selector", "#page-size option:nth-child(3)").click()
    assert len(shown_rows(browser)) == 500
    browser.find_element("id", "next").click()
    assert browser.find_element("id", "page-number").text == "Page 2 of 5"
    chips["all"].click()

    header = browser.find_element("css selector", "#list thead th:nth-child(1) button")
    header.click()
    first = shown_rows(browser)[0]
    header.click()
    assert shown_rows(browser)[0] != first
    assert header.find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    doubt = browser.find_element("css selector", "#list thead th:nth-child(6) button")
    doubt.click()
    assert "doubtful" not in shown_rows(browser)[0]
    doubt.click()
    assert "doubtful" in shown_rows(browser)[0]


@pytest.mark.browser
def test_hostile_names_are_shown_as_they_are_and_run_nothing(browser):
    search = browser.find_element("id", "filter")
    search.send_keys("onerror")
    (row,) = shown_rows(browser)
    assert '"><img src=x onerror=alert(1)>.jpg' in row
    assert not browser.find_elements("css selector", "#list tbody :is(img, script, b), figcaption :is(img, script, b)")
    captions = browser.execute_script("return [...document.querySelectorAll('figcaption')].map(c => c.textContent)")
    assert any("</script><script>alert(1)</" in caption for caption in captions)


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_fits_its_window(browser, page, width):
    show(browser, page, width)
    browser.find_element("id", "filter").send_keys("xxxx")  # the longest name
    assert len(shown_rows(browser)) == 1
    wide = browser.execute_script(
        """
        const width = document.documentElement.clientWidth;
        return [...document.querySelectorAll("body *:not(.skip):not(.hidden)")]
          .filter(e => e.getBoundingClientRect().right > width + 0.5 && !e.closest("svg"))
          .map(e => e.outerHTML.slice(0, 80).toWellFormed());
        """
    )
    assert wide == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    controls = browser.find_elements("css selector", ".tools input, .tools select, .tools button")
    assert len(controls) == 6 and min(control.size["height"] for control in controls) >= 40  # a finger wide


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, page, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    show(browser, page, 1280)
    check_contrast(browser, scheme, 100)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def check_contrast(browser, scheme: str, least: int) -> None:
    """At least so many texts, each with the contrast that WCAG asks for (4.5)."""
    pairs = browser.execute_script(
        """
        const ground = e => { for (; e; e = e.parentElement) {
          const color = getComputedStyle(e).backgroundColor; if (color !== "rgba(0, 0, 0, 0)") return color; } };
        return [...document.querySelectorAll("main *, header *, footer *")]
          .filter(e => !e.closest("svg, .compare, .stage, .hidden, [hidden]") && !e.disabled &&
                       [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
          .map(e => [e.outerHTML.slice(0, 60).toWellFormed(), getComputedStyle(e).color, ground(e)]);
        """
    )
    assert len(pairs) > least
    paper = luminance(pairs[0][2])
    assert paper > 0.8 if scheme == "light" else paper < 0.05
    for element, ink, ground in pairs:
        low, high = sorted([luminance(ink), luminance(ground)])
        assert (high + 0.05) / (low + 0.05) >= 4.5, element


def luminance(color: str) -> float:
    codes = np.array([float(part) for part in color.partition("(")[2].rstrip(")").split(",")[:3]]) / 255
    linear = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.browser
def test_where_the_model_was_unsure_is_shown_on_demand(chromium, tmp_path):
    _, output = write_output(tmp_path, 0)
    (row,) = [row for row in read_records(output).to_pylist() if row["key"] == "still lives/coffee.jpg"]
    picture = io.BytesIO()
    Image.fromarray(np.tile(np.linspace(0, 255, 90).astype(np.uint8), (60, 1))).save(picture, "PNG")
    row |= {"uncertainty_key": "uncertainty/50% #1?.png", "finished_at": row["finished_at"] + timedelta(hours=1)}
    output.put(row["uncertainty_key"], picture.getvalue(), "image/png")
    write_records(output, [Record(**row)], "part-9")
    show(chromium, Path(write_report(output).uri.removeprefix("file://")), 1280)
    (toggle,) = chromium.find_elements("css selector", ".plate label")
    shown = chromium.find_element("css selector", ".map")
    chromium.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", toggle)
    assert toggle.text == "Where it was unsure" and not shown.is_displayed()
    toggle.click()
    assert shown.is_displayed()
    width = chromium.execute_async_script(
        "const [map, done] = arguments; const image = map.querySelector('img');"
        "image.decode().then(() => done([image.naturalWidth, image.clientWidth === map.parentElement.clientWidth]))",
        shown,
    )
    assert width == [90, True] and chromium.get_log("browser") == []
    toggle.click()
    assert not shown.is_displayed()
    chromium.get_log("performance")


@pytest.mark.browser
def test_it_prints_both_pictures_side_by_side(browser, page):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    sides = browser.execute_script(
        """
        const [before, after] =
          [".before", ".after"].map(c => document.querySelector(".compare " + c).getBoundingClientRect());
        return [before.right <= after.left + 0.5, before.width > 50, Math.abs(before.top - after.top) < 1,
                getComputedStyle(document.querySelector(".tools")).display];
        """
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert sides == [True, True, True, "none"]
