"""The hint page in a real browser: from the report to a file that the job reads."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import numpy as np
import pytest
import test_report
from outputs import PHOTOS, run, write_output

from colorize_core.color import srgb_to_lab
from colorize_core.hints import SUFFIX, Box, Color, Hints
from colorize_core.report import hint_page, write_report
from colorize_core.storage import Store

chromium = test_report.chromium
HOSTILE = 'still lives/50% off? #1 "cup" & <b>saucer</b>.jpg'
GRASS, NAVY = hint_page.TYPICAL["grass"], hint_page.TYPICAL["navy"]


def ab(code: str) -> Color:
    a, b = srgb_to_lab(np.frombuffer(bytes.fromhex(code[1:]), np.uint8) / 255)[1:].tolist()
    return Color(round(a, 3), round(b, 3))


# --- the address ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [HOSTILE, "a&b=c+d#e.tif", "موج ‮gpj\u2028🐈.jpg", "100%25/ü'\"><img>.png"])
def test_a_link_names_the_photo_in_its_fragment_alone(key):
    link = hint_page.link({"key": key, "page": 1, "width": 600, "height": 400}, "0" * 24)
    parts = urlsplit(link)
    assert parts[:4] == ("", "", "hints.html", "") and re.fullmatch(r"[\w%=&.~-]+", parts.fragment)
    assert parse_qs(parts.fragment) == {
        "key": [key], "page": ["2"], "width": ["600"], "height": ["400"], "image": ["0" * 24]
    }  # fmt: skip


def test_a_photo_of_unknown_size_has_no_link():
    assert hint_page.link({"key": "a.jpg", "page": 0, "width": None, "height": None}, "0" * 24) is None


def test_typical_colors_are_colors():
    assert len(set(hint_page.TYPICAL.values())) == len(hint_page.TYPICAL)
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in hint_page.TYPICAL.values())


@pytest.mark.parametrize("runs, place", [([], "IN"), ([run(source="s3://a/b")], "s3://a/b"),
                                         ([run(source="s3://a/b"), run(source="/c")], "IN")])  # fmt: skip
def test_it_says_where_the_scans_are_when_that_is_certain(tmp_path, runs, place):
    store = Store(str(tmp_path))
    hint_page.write(store, runs)
    assert f'data-source="{place}"' in store.read("report/hints.html").decode()


# --- the page in a browser ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """The folder of a report with a doubtful photo among its pictures."""
    _, output = write_output(tmp_path_factory.mktemp("hints") / "50% #1? «archive»", 3)
    return Path(write_report(output).uri.removeprefix("file://")).parent


@pytest.fixture
def browser(chromium, report, tmp_path):
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    test_report.show(chromium, report / "index.html", 1280)
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    messages = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert urls and {urlsplit(url).scheme for url in urls} <= {"file", "data", "blob"}


@pytest.fixture
def coffee(browser):
    """The hint page of a photo of 600 x 400 pixels."""
    open_hints(browser, "coffee.jpg")
    return browser


def open_hints(browser, name: str, width: int = 1280) -> None:
    """From the report to the page of a photo, by its link."""
    links = browser.execute_script("return [...document.querySelectorAll('.plate .hint')].map(a => a.href)")
    (link,) = [link for link in links if quote(name, safe="") in link]
    go(browser, link, width)


def go(browser, link: str, width: int = 1280) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 700},
    )
    browser.get("about:blank")  # the same page with another fragment would not be loaded again
    browser.get(link)


def stage(browser):
    found = browser.find_element("id", "stage")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", found)
    return found


def pointer(browser, x: float, y: float, to: tuple[float, float] | None = None) -> None:
    """A click, or a drag, at shares of the width and the height of the photo."""
    from selenium.webdriver import ActionChains

    photo = stage(browser)
    width, height = photo.size["width"], photo.size["height"]
    act = ActionChains(browser, duration=0)
    act.move_to_element_with_offset(photo, round((x - 0.5) * width), round((y - 0.5) * height))
    if to:
        act.click_and_hold().move_by_offset(round((to[0] - x) * width), round((to[1] - y) * height)).release()
    else:
        act.click()
    act.perform()


def keys(browser, *pressed: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser, duration=0).send_keys(*pressed).perform()


def together(browser, *pressed: str) -> None:
    """The last key while the others are held."""
    from selenium.webdriver import ActionChains

    act = ActionChains(browser, duration=0)
    for key in pressed[:-1]:
        act.key_down(key)
    act.send_keys(pressed[-1])
    for key in pressed[:-1]:
        act.key_up(key)
    act.perform()


def click(browser, selector: str) -> None:
    browser.find_element("css selector", selector).click()


def choose(browser, selector: str, color: str) -> None:
    """What the browser's own dialog does when a color is chosen."""
    browser.execute_script(
        "const input = document.querySelector(arguments[0]); input.value = arguments[1];"
        "input.dispatchEvent(new Event('change', {bubbles: true}))",
        selector, color,
    )  # fmt: skip


def listed(browser) -> list[str]:
    """Each mark as its list says it, with its color."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#list li')].map(li => [...li.querySelectorAll('.pick, .what')]"
        ".map(e => e.textContent).join(': ') + ' ' + li.querySelector('[type=color]').value)"
    )


def said(browser) -> str:
    return browser.find_element("id", "said").text


def save(browser, folder: Path) -> bytes:
    click(browser, "#save")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := [path for path in folder.iterdir() if path.suffix == ".json" and path.stat().st_size]:
            assert len(found) == 1 and found[0].name.endswith(SUFFIX)
            data = found[0].read_bytes()
            found[0].unlink()
            return data
        time.sleep(0.02)
    raise AssertionError(f"nothing was saved: {said(browser)}")


def offer(browser, content: str | bytes, folder: Path, name: str = "given.json") -> str:
    """Open a file by the page's button; what the page says of it."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    browser.execute_script("document.getElementById('said').textContent = ''")
    browser.find_element("id", "open").send_keys(str(path))
    deadline = time.monotonic() + 10
    while not said(browser) and time.monotonic() < deadline:
        time.sleep(0.02)
    path.unlink()
    return said(browser)


@pytest.mark.browser
def test_from_the_report_to_a_file_that_the_job_reads(browser, tmp_path):
    from selenium.webdriver import Keys

    links = browser.execute_script(
        "return ['.plate', '#list tbody tr'].map(p => [...document.querySelectorAll(p + ' .hint')].map(a => a.href))"
    )
    assert [len(found) for found in links] == [len(PHOTOS), 2] and set(links[1]) < set(links[0])
    open_hints(browser, "coffee.jpg")
    assert browser.find_element("id", "name").text == "coffee.jpg"
    click(browser, f"[data-color='{GRASS}']")
    pointer(browser, 0.25, 0.25)
    click(browser, f"[data-color='{NAVY}']")
    pointer(browser, 0.8, 0.9, to=(0.6, 0.5))
    choose(browser, "#color", "#ff0000")
    click(browser, "#add")
    browser.find_element("id", "radius-0").send_keys(Keys.BACKSPACE, "12")
    saved = save(browser, tmp_path)
    assert said(browser).startswith("Saved as coffee.jpg.hints.json.")
    content = json.loads(saved)
    x, y = content["points"][0]["x"], content["points"][0]["y"]
    assert abs(x - 150) <= 1 and abs(y - 100) <= 1
    assert content["points"] == [{"color": GRASS, "x": x, "y": y, "radius": 12}]
    (box,) = content["boxes"]
    assert np.abs(np.array([box[n] for n in ("x", "y", "width", "height")]) - [360, 200, 120, 160]).max() <= 1
    assert content["size"] == [600, 400] and content["palette"] == ["#ff0000"] and box["color"] == NAVY
    hints = Hints.parse(saved)
    assert hints.size == (600, 400) and hints.palette == (ab("#ff0000"),)
    assert hints.boxes == (
        Box(box["x"], box["y"], box["width"], box["height"], ab(NAVY), 1),
        Box(x - 12, y - 12, 25, 25, ab(GRASS), 1),
    )
    place = browser.find_element("id", "place").text
    assert place.endswith("/scans/still lives/coffee.jpg.hints.json")
    recent = browser.execute_script("return [...document.querySelectorAll('#recent button')].map(b => b.dataset.color)")
    assert recent == ["#ff0000", NAVY, GRASS]
    go(browser, browser.current_url)
    assert len(browser.find_elements("css selector", "#recent button")) == 3  # kept for the next photo


@pytest.mark.browser
def test_marks_are_moved_recolored_deleted_and_all_of_it_undone(coffee):
    click(coffee, f"[data-color='{GRASS}']")
    pointer(coffee, 0.5, 0.5)
    pointer(coffee, 0.1, 0.2, to=(0.3, 0.4))
    pointer(coffee, 0.75, 0.75)
    three = listed(coffee)
    assert [mark.partition(":")[0] for mark in three] == ["1", "2", "3"] and all(GRASS in mark for mark in three)
    assert [b.text for b in coffee.find_elements("css selector", "#marks button")] == ["1", "2", "3"]

    pointer(coffee, 0.5, 0.5, to=(0.25, 0.5))  # holds the first mark
    moved = listed(coffee)
    assert moved[1:] == three[1:] and moved[0] != three[0]
    assert coffee.find_element("id", "color-title").text == "Color of mark 1"
    click(coffee, f"[data-color='{NAVY}']")
    assert NAVY in listed(coffee)[0] and all(GRASS in mark for mark in listed(coffee)[1:])
    choose(coffee, "#color-2", "#00ff00")
    assert listed(coffee)[2].endswith("#00ff00")
    coffee.find_element("id", "radius-0").send_keys("0")
    click(coffee, "#delete-1")  # takes the radius and then the click
    assert coffee.find_element("id", "radius-0").get_property("value") == "30"
    assert len(listed(coffee)) == 2 and len(coffee.find_elements("css selector", "#marks .box")) == 0

    states = [listed(coffee)]
    while coffee.find_element("id", "undo").is_enabled():
        click(coffee, "#undo")
        states.append(listed(coffee))
    assert states[5] == three and states[-1] == [] and len(states) == 9
    for state in states[-2::-1]:
        click(coffee, "#redo")
        assert listed(coffee) == state
    assert not coffee.find_element("id", "redo").is_enabled()
    pointer(coffee, 0.9, 0.1)
    assert coffee.find_element("id", "color-title").text == "Color of the next mark"


@pytest.mark.browser
def test_everything_works_by_keyboard(coffee):
    from selenium.webdriver import Keys

    coffee.execute_script("arguments[0].focus()", stage(coffee))
    keys(coffee, Keys.ARROW_LEFT * 10, Keys.ARROW_UP * 5, Keys.ENTER)
    keys(coffee, Keys.ARROW_RIGHT * 20, "b", Keys.ARROW_RIGHT * 10, Keys.ARROW_DOWN * 5, Keys.ENTER)
    assert [mark.split(" #")[0] for mark in listed(coffee)] == ["1: 240, 170", "2: 60 × 30 at 360, 170"]
    keys(coffee, "b", Keys.ARROW_LEFT, Keys.ESCAPE, Keys.TAB)
    assert coffee.switch_to.active_element.get_attribute("id") == "mark-0"
    keys(coffee, Keys.ARROW_DOWN)
    together(coffee, Keys.SHIFT, Keys.ARROW_RIGHT)
    assert listed(coffee)[0].startswith("1: 241, 176 ")
    keys(coffee, Keys.ENTER)  # on a mark, Enter places nothing
    assert len(listed(coffee)) == 2
    keys(coffee, Keys.DELETE)
    assert [mark.split(" #")[0] for mark in listed(coffee)] == ["1: 60 × 30 at 360, 170"]
    together(coffee, Keys.CONTROL, "z")
    assert listed(coffee)[0].startswith("1: 241, 176 ")
    together(coffee, Keys.CONTROL, Keys.SHIFT, "z")
    assert len(listed(coffee)) == 1
    keys(coffee, Keys.ARROW_LEFT * 80)
    assert listed(coffee)[0].startswith("1: 60 × 30 at 0, 170")  # no further than the edge


@pytest.mark.browser
def test_fingers_tap_and_drag_on_a_small_screen(browser):
    open_hints(browser, "coffee.jpg", 390)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    stage(browser)
    box = browser.execute_script("return document.getElementById('before').getBoundingClientRect().toJSON()")

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in points]
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    touch("touchStart", (0.5, 0.5))
    touch("touchEnd")
    touch("touchStart", (0.1, 0.1))
    touch("touchMove", (0.2, 0.15))
    touch("touchMove", (0.4, 0.3))
    touch("touchEnd")
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    numbers = [[int(number) for number in re.findall(r"\d+", mark.split(" #")[0])] for mark in listed(browser)]
    assert len(numbers) == 2
    assert np.abs(np.array(numbers[0]) - [1, 300, 200]).max() <= 2
    assert np.abs(np.array(numbers[1]) - [2, 180, 80, 60, 40]).max() <= 3


@pytest.mark.browser
def test_a_file_is_opened_again_and_pages_stay_apart(coffee, tmp_path):
    marks = {
        "size": [300, 200],
        "points": [{"x": 30, "y": 40, "color": "#A0B0C0"}, {"x": 1, "y": 2, "color": "#123456", "page": 3}],
        "boxes": [{"x": 10, "y": 20, "width": 290, "height": 1, "color": "#654321", "page": 1}],
        "palette": ["#ff8800"],
    }
    assert offer(coffee, json.dumps(marks), tmp_path) == "given.json is open: 3 marks, 1 color in the palette."
    assert listed(coffee) == ["1: 61, 81 #a0b0c0", "2: 580 × 2 at 20, 40 #654321"]
    assert coffee.find_element("id", "elsewhere").text.startswith("1 more on other pages")
    again = Hints.parse(save(coffee, tmp_path))
    assert again.size == (600, 400) and sorted(box.page for box in again.boxes) == [1, 1, 3]
    assert Box(20, 40, 580, 2, ab("#654321"), 1) in again.boxes and Box(61, 81, 1, 1, ab("#a0b0c0"), 1) in again.boxes

    go(coffee, coffee.current_url.replace("page=1", "page=3"))
    assert coffee.find_element("id", "name").text == "coffee.jpg, page 3"
    pointer(coffee, 0.5, 0.5)
    own = save(coffee, tmp_path)
    assert [point["page"] for point in json.loads(own)["points"]] == [3]
    coffee.execute_script(
        """
        const files = new DataTransfer();
        files.items.add(new File([arguments[0]], "dropped.json"));
        document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true}));
        """,
        json.dumps(marks),
    )
    deadline = time.monotonic() + 10
    while "dropped.json" not in said(coffee) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [mark.split(" ")[-1] for mark in listed(coffee)] == ["#123456"]
    click(coffee, "#undo")
    assert save(coffee, tmp_path) == own


POINT = {"x": 1, "y": 1, "color": "#000000"}
WRONG = {
    "<b>no": "it is no JSON",
    "[]": "it is no object",
    "null": "it is no object",
    '{"pionts": []}': "it has “pionts”",
    '{"__proto__": {"size": [1, 1]}, "palette": []}': "it has “__proto__”",
    '{"points": {}}': "points is no list",
    json.dumps({"points": [POINT]}): "it lacks a size",
    json.dumps({"size": [600, 400], "points": [POINT | {"x": 600}]}): "x of point 1 is no whole number from 0 to 599",
    json.dumps({"size": [600, 400], "points": [POINT | {"y": "1"}]}): "y of point 1 is no whole number",
    json.dumps({"size": [600, 400], "points": [POINT | {"<img src=x onerror=alert(1)>": 1}]}): "<img src=x",
    json.dumps({"size": [600, 400], "points": [POINT | {"color": "url(//x)"}]}): "the color of point 1 is not like",
    json.dumps({"size": [600, 400], "points": [POINT | {"page": 0}]}): "the page of point 1 is no whole number",
    json.dumps({"size": [600, 400], "boxes": [POINT | {"width": 600, "height": 1}]}): "the width of box 1",
    json.dumps({"size": [400, 600], "points": [POINT]}): "another shape than this one",
    json.dumps({"palette": ["red"]}): "a color of its palette is not like",
    json.dumps({"palette": ["#000000"] * 257}): "palette holds more than 256",
    json.dumps({"palette": ["#000000"] * 100_000}): "it is larger than any hints file",
}


@pytest.mark.browser
def test_files_that_are_no_hints_are_refused_with_a_sentence(coffee, tmp_path):
    pointer(coffee, 0.5, 0.5)
    before = listed(coffee)
    for content, problem in WRONG.items():
        sentence = offer(coffee, content, tmp_path)
        assert sentence.startswith("given.json was not opened: ") and problem in sentence
    assert listed(coffee) == before and not coffee.find_elements("css selector", "#said *")
    sentence = offer(coffee, '{"palette": []}', tmp_path, "<b>\u202e.json")
    assert sentence.startswith("<b>\\u{202e}.json is open") and listed(coffee) == []
    click(coffee, "#save")
    assert said(coffee).startswith("There is no hint to save.")


@pytest.mark.browser
@pytest.mark.parametrize("key", [HOSTILE, "animals/</script><script>alert(1)</script>.jpg"])
def test_a_hostile_name_stays_text(browser, tmp_path, key):
    open_hints(browser, key)
    assert browser.find_element("id", "name").text == key.rpartition("/")[2]
    assert browser.find_element("id", "place").text.endswith(f"/scans/{key}.hints.json")
    assert not browser.find_elements("css selector", "main b, header b, main script")
    pointer(browser, 0.5, 0.5)
    assert Hints.parse(save(browser, tmp_path)).boxes
    assert said(browser).startswith(f"Saved as {key.rpartition('/')[2]}.hints.json.")


@pytest.mark.browser
def test_a_crafted_address_shows_a_sentence_and_nothing_else(coffee, report):
    good = {name: values[0] for name, values in parse_qs(urlsplit(coffee.current_url).fragment).items()}
    (report / "img/evil.jpg").write_bytes(b"")
    for change in (
        {"image": "../../secret"},
        {"image": good["image"].upper()},
        {"image": "https://example.org/" + good["image"]},
        {"image": ""},
        {"image": good["image"] + "-before.jpg#"},
        {"key": ""},
        {"key": "x" * 5000},
        {"page": "0"},
        {"width": "600.5"},
        {"height": "<img src=x onerror=alert(1)>"},
        {"width": "1e9"},
    ):
        go(coffee, (report / "hints.html").as_uri() + "#" + urlencode(good | change, quote_via=quote))
        assert coffee.find_element("id", "refusal").text.startswith("This address names no photo."), change
        assert not coffee.find_element("id", "desk").is_displayed()
        assert coffee.execute_script("return [...document.images].filter(image => image.src).length") == 0
    for fragment in ("", "#", "#%", "#key", "#<script>alert(1)</script>"):
        go(coffee, (report / "hints.html").as_uri() + fragment)
        assert coffee.find_element("id", "refusal").is_displayed(), fragment
    for change, sentence in (
        ({"width": "400", "height": "600"}, "This address and its picture differ in shape."),
        ({"key": "<img src=x onerror=alert(1)>\u202e.jpg"}, ""),
    ):
        go(coffee, (report / "hints.html").as_uri() + "#" + urlencode(good | change, quote_via=quote))
        coffee.execute_async_script("document.getElementById('before').decode().finally(arguments[0])")
        assert coffee.find_element("id", "refusal").text.startswith(sentence)
        assert not coffee.find_elements("css selector", "header img")
    assert coffee.find_element("id", "name").text == "<img src=x onerror=alert(1)>\\u{202e}.jpg"


@pytest.mark.browser
def test_a_picture_that_is_gone_is_told(coffee, report):
    link = re.sub("image=[0-9a-f]{24}", "image=" + "0" * 24, coffee.current_url)
    go(coffee, link)
    deadline = time.monotonic() + 10
    while not coffee.find_element("id", "refusal").text and time.monotonic() < deadline:
        time.sleep(0.02)
    assert coffee.find_element("id", "refusal").text.startswith("The picture of this photo is not in this report")
    coffee.get_log("browser")  # the browser says so too


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_and_controls_have_names(coffee, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    coffee.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    go(coffee, coffee.current_url)
    pointer(coffee, 0.5, 0.5)
    click(coffee, "#add")
    test_report.check_contrast(coffee, scheme, 40)
    coffee.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    named = coffee.find_elements("css selector", "#desk button, #desk input")
    assert len(named) > 35 and all(control.accessible_name for control in named)
