from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.color import rgb2lab
from tasks import colorize_here, make_task, write_archive

from colorize_core import workbench
from colorize_core.colorizer import Colorizer
from colorize_core.derivative import Encoding
from colorize_core.ensemble import Ensemble
from colorize_core.inputs import Input
from colorize_core.photo import Limits, open_photo
from colorize_core.plan import history, make_plan
from colorize_core.records import write_records
from colorize_core.sandbox import Crashed, OutOfMemory, TimedOut
from colorize_core.stages import (
    Colorize,
    Fetch,
    Finish,
    InFlight,
    Predict,
    Prepare,
    Put,
    Task,
    output_key,
    start,
    verdict,
)
from colorize_core.storage import Entry, Store
from colorize_core.weights import ModelError
from colorize_core.workbench import Workbench


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    write_archive(folder)
    return folder


def predict(task: Task) -> Predict:
    return Predict(task.recipe.model, task, "cpu")


@pytest.fixture(scope="module")
def done(archive, tmp_path_factory):
    output = tmp_path_factory.mktemp("output")
    return output, colorize_here(make_task(archive, output))


def test_every_page_gets_one_row(done):
    _, records = done
    states = {identity: record.status for identity, record in records.items()}
    assert states == {
        ("album.tiff", 0): "colorized",
        ("album.tiff", 1): "colorized",
        ("album.tiff", 2): "colorized",
        ("box 1/50% cup#1.png", 0): "colorized",
        ("box 1/portrait.jpg", 0): "colorized",
        ("color.jpg", 0): "skipped_color",
        ("cut.jpg", 0): "rejected",
        ("letter.jpg", 0): "rejected",
        ("rocket.tif", 0): "colorized",
    }
    assert records["cut.jpg", 0].error_class == "truncated"
    assert records["letter.jpg", 0].error_class == "not_an_image"
    assert all(r.finished_at and r.ms_fetch is not None and r.source_sha256 for r in records.values())


def test_names_tell_source_and_page(done):
    _, records = done
    assert records["album.tiff", 0].output_key == "photos/album.tiff.jpg"
    assert records["album.tiff", 2].output_key == "photos/album.tiff.page-3.jpg"
    assert records["box 1/50% cup#1.png", 0].output_key == "photos/box 1/50%25 cup#1.png.jpg"


def test_results_are_color_at_full_size_and_what_the_record_says(done):
    output, records = done
    for record in records.values():
        if record.status != "colorized":
            continue
        path = output / record.output_key
        assert hashlib.sha256(path.read_bytes()).hexdigest() == record.output_sha256
        assert path.stat().st_size == record.output_size
        with Image.open(path) as image:
            assert image.size == (record.width, record.height) and image.mode == "RGB"
        assert record.colorfulness > 1
        assert 0 < record.uncertainty < 1


def test_nothing_is_written_into_the_archive(archive, done):
    assert sorted(p.name for p in archive.rglob("*") if p.is_file()) == sorted(
        ["50% cup#1.png", "album.tiff", "color.jpg", "cut.jpg", "letter.jpg", "portrait.jpg", "rocket.tif"]
    )


@pytest.mark.parametrize("format", ["png", "same"])
def test_lightness_is_the_scan_s_own(archive, tmp_path, format):
    keys = ["rocket.tif", "box 1/50% cup#1.png"]
    records = colorize_here(make_task(archive, tmp_path, encoding=Encoding(format)), keys)
    for key in keys:
        before = open_photo(archive / key, Limits())
        made = open_photo(tmp_path / records[key, 0].output_key, Limits())
        assert made.bits == before.bits
        error = np.abs(made.lightness(slice(None)) - before.lightness(slice(None)))
        assert (error <= 1).mean() > 0.999


def test_sixteen_bits_stay_sixteen(archive, tmp_path):
    record = colorize_here(make_task(archive, tmp_path, encoding=Encoding("same")), ["rocket.tif"])["rocket.tif", 0]
    pixels = tifffile.imread(tmp_path / record.output_key)
    assert pixels.dtype == np.uint16 and pixels.shape == (180, 420, 3)


def test_a_color_photograph_is_recolored_when_asked(archive, tmp_path):
    record = colorize_here(make_task(archive, tmp_path, recolor=True), ["color.jpg"])["color.jpg", 0]
    assert record.status == "colorized" and record.tone == "color"


def test_same_photo_same_recipe_same_bytes(archive, done, tmp_path):
    _, first = done
    again = colorize_here(make_task(archive, tmp_path), ["box 1/portrait.jpg"])
    assert again["box 1/portrait.jpg", 0].output_sha256 == first["box 1/portrait.jpg", 0].output_sha256


def test_split_stages_give_the_same_bytes(archive, done, tmp_path):
    _, first = done
    task = make_task(archive, tmp_path)
    here, there = Workbench(task), Workbench(task)
    prepare, finish, put = Prepare(task, here), Finish(task, there), Put(task)
    photos = [prepare(photo) for entry in task.source.list() for photo in Fetch(task, here)(entry, 1)]
    for photo in photos:
        photo.path = None  # prepared elsewhere
    for record in (put(finish(photo)) for photo in predict(task)(photos)):
        assert record.output_sha256 == first[record.key, record.page].output_sha256
        assert record.status == first[record.key, record.page].status
    assert not list(here.scratch.iterdir()) and not list(there.scratch.iterdir())
    here.sandbox.close(), there.sandbox.close()


def test_a_scan_that_changes_between_the_stages_fails_and_is_not_colored(archive, tmp_path):
    folder = tmp_path / "in"
    write_archive(folder)
    task = make_task(folder, tmp_path / "out")
    bench = Workbench(task)
    (photo,) = map(Prepare(task, bench), Fetch(task, bench)(task.source.stat("box 1/portrait.jpg"), 1))
    photo.path = None
    (folder / "box 1" / "portrait.jpg").write_bytes((folder / "color.jpg").read_bytes())
    record = Put(task)(Finish(task, bench)(predict(task)([photo])[0]))
    bench.sandbox.close()
    assert record.status == "failed" and record.output_key is None
    assert not list((tmp_path / "out").rglob("*.jpg"))


def test_limits_reject_before_work(archive, tmp_path):
    record = colorize_here(make_task(archive, tmp_path, limits=Limits(pixels=1000)), ["rocket.tif"])["rocket.tif", 0]
    assert (record.status, record.error_class) == ("rejected", "too_large")
    record = colorize_here(make_task(archive, tmp_path, limits=Limits(file_bytes=99)), ["rocket.tif"])["rocket.tif", 0]
    assert (record.status, record.error_class) == ("rejected", "too_large")
    assert "--max-gigabytes" in record.error_message


def test_a_scan_that_vanished_has_failed(archive, tmp_path):
    task = make_task(archive, tmp_path)
    bench = Workbench(task)
    (photo,) = Fetch(task, bench)(Entry("gone.jpg", 10, "x"), 3)
    bench.sandbox.close()
    assert photo.path is None
    assert (photo.record.status, photo.record.attempt) == ("failed", 3)


def test_a_decoder_that_dies_costs_one_photo(archive, tmp_path):
    task = make_task(archive, tmp_path)
    bench = Workbench(task)
    os.kill(bench.sandbox._process.pid, signal.SIGKILL)  # before the photo: the second try saves it
    (photo,) = map(Prepare(task, bench), Fetch(task, bench)(task.source.stat("rocket.tif"), 1))
    assert photo.lightness is not None
    bench.sandbox.close()


@pytest.mark.parametrize(
    ("error", "status"),
    [(Crashed("SIGSEGV"), "rejected"), (TimedOut("60 s"), "rejected"), (OSError("disk full"), "failed")],
)
def test_whose_fault_it_is(archive, tmp_path, error, status):
    task = make_task(archive, tmp_path)
    record = verdict(task, start(task, Entry("a", 1, "e"), 0, 1), error)
    assert record.status == status and str(error) in record.error_message


def test_out_of_memory_is_the_photo_s_fault_only_when_its_size_does_not_explain_it(archive, tmp_path):
    task = make_task(archive, tmp_path, memory=2 << 30)
    small, large = start(task, Entry("a", 1, "e"), 0, 1), start(task, Entry("b", 1, "e"), 0, 1)
    small.width, small.height, large.width, large.height = 100, 100, 30_000, 30_000
    assert verdict(task, small, OutOfMemory("needed more")).status == "rejected"
    assert verdict(task, large, OutOfMemory("needed more")).status == "failed"
    assert "--memory" in large.error_message


@given(st.lists(st.tuples(st.text(min_size=1, max_size=12), st.integers(0, 20)), unique=True, max_size=20))
def test_no_two_photos_share_a_name(photos):
    names = {output_key(key, page, "jpeg") for key, page in photos}
    assert len(names) == len(photos)


@pytest.mark.parametrize("key", ["a.tif.page-2", "a.page-1.page-1", ".page-3", "x/.page-2"])
def test_a_name_that_reads_like_a_page_is_told_from_one(key):
    stem, _, page = key.rpartition(".page-")
    if stem:
        assert output_key(key, 0, "jpeg") != output_key(stem, int(page) - 1, "jpeg")


def test_color_does_not_depend_on_neighbors():
    rng = np.random.default_rng(0)
    photos = [[rng.uniform(0, 100, (192, 192)).astype(np.float32)] for _ in range(3)]
    colorizer = Colorizer(Ensemble.find("autochrome"))
    together, alone = colorizer.predict(photos), [colorizer.predict([photo])[0] for photo in photos]
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.ab, other.ab) and np.array_equal(one.uncertainty, other.uncertainty)
        assert one.ab.shape == (192, 192, 2) and np.abs(one.ab).max() < 130


@pytest.mark.parametrize("giant", [workbench.GIANT, 1])
def test_threads_that_share_a_worker_give_the_same_bytes(archive, done, tmp_path, monkeypatch, giant):
    """Of giants, there is one local copy at a time; and whoever wants to be alone is, and holds up nobody for good."""
    monkeypatch.setattr(workbench, "GIANT", giant)
    _, first = done
    task = make_task(archive, tmp_path)
    colorize = Colorize(task, task.recipe.model, "cpu")
    copy, others = colorize.bench.copy, []

    def counted(entry, path):
        others.append(len(list(colorize.bench.scratch.iterdir())))
        return copy(entry, path)

    def work(entry):
        with colorize.bench.alone() if entry.key == "rocket.tif" else nullcontext():
            return list(colorize(entry, 1))

    monkeypatch.setattr(colorize.bench, "copy", counted)

    with ThreadPoolExecutor(4) as threads:
        scans = list(threads.map(work, task.source.list()))
    assert not list(colorize.bench.scratch.iterdir()) and len(others) == len(scans)
    assert giant > 1 or not any(others)
    colorize.bench.sandbox.close()
    records = {(record.key, record.page): record for scan in scans for record in scan}
    assert {photo: (r.status, r.output_sha256) for photo, r in records.items()} == {
        photo: (r.status, r.output_sha256) for photo, r in first.items()
    }


class SlowStore(Store):
    """Each derivative takes a second to store."""

    def put(self, *arguments, **named):
        time.sleep(1)
        super().put(*arguments, **named)


def test_one_scan_is_worked_on_while_others_are_stored(archive, tmp_path):
    task = replace(make_task(archive, tmp_path), output=SlowStore(str(tmp_path)))
    colorize = Colorize(task, task.recipe.model, "cpu")
    scan = task.source.stat("box 1/portrait.jpg")
    list(colorize(scan, 1))
    with ThreadPoolExecutor(4) as threads:
        began = time.monotonic()
        list(threads.map(lambda attempt: list(colorize(scan, attempt)), range(4)))
    assert time.monotonic() - began < 3  # one after the other they would need 4 seconds for storing alone
    colorize.bench.sandbox.close()


HINTED = '{"size": [150, 130], "boxes": [{"x": 10, "y": 90, "width": 20, "height": 15, "color": {"a": 20, "b": -25}}]}'


def test_hints_are_followed_where_they_are_and_around(archive, tmp_path):
    key, png = "box 1/portrait.jpg", Encoding("png")
    task = make_task(archive, tmp_path / "plain", encoding=png)
    colorize_here(task, [key])
    hinted = replace(task, output=Store(str(tmp_path / "hinted")))
    record = colorize_here(hinted, [key], hints={key: HINTED})[key, 0]
    assert record.recipe == task.recipe.digest_with(HINTED) != task.recipe.digest and len(record.hints) == 64
    plain, colored = (
        rgb2lab(np.asarray(Image.open(tmp_path / name / "photos" / f"{key}.png"))) for name in ("plain", "hinted")
    )
    inside, beside, far = np.s_[180:210, 20:60], np.s_[180:210, 61:65], np.s_[:40, 250:]
    has_it = (colored[inside][..., 0] > 25) & (colored[inside][..., 0] < 80)  # where sRGB has that color
    assert has_it.mean() > 0.5 and np.abs(colored[inside][has_it][:, 1:] - (20, -25)).max() < 0.75  # by 8 bits
    assert np.abs(colored[..., 0] - plain[..., 0]).max() < 1
    moved = np.hypot(*np.moveaxis(colored - plain, -1, 0)[1:])
    assert moved[beside].mean() > 5 > 10 * moved[far].mean()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not JSON"),
        ('{"palette": ["#12"]}', "palette[0] must be"),
        ('{"size": [100, 300], "points": [{"x": 1, "y": 1, "color": "#336699"}]}', "the upright scan has 300 x 260"),
        ('{"size": [300, 260], "points": [{"x": 1, "y": 1, "color": "#336699", "page": 2}]}', "hints for page 2"),
    ],
)
def test_bad_hints_are_their_scan_s_fault(archive, tmp_path, text, sentence):
    key = "box 1/portrait.jpg"
    (record,) = colorize_here(make_task(archive, tmp_path), [key], hints={key: text}).values()
    assert (record.status, record.error_class) == ("rejected", "bad_hints") and sentence in record.error_message


def test_bad_hints_of_many_pages_are_not_tried_again_until_they_are_mended(archive, tmp_path):
    task, key = make_task(archive, tmp_path), "album.tiff"

    def left(text: str) -> int:
        entries, past = task.source.list(), history(task.output)
        plan = make_plan(task.source, entries, past, task.recipe.digest_with, hints={key: text}, include=[key])
        return len(plan.todo)

    assert left("{") == 1
    write_records(task.output, "run", list(colorize_here(task, [key], hints={key: "{"}).values()))
    assert (left("{"), left('{"palette": ["#336699"]}')) == (0, 1)


def test_every_page_has_its_own_hints(archive, tmp_path):
    text = '{"size": [160, 150], "boxes": [{"x": 9, "y": 9, "width": 30, "height": 30, "color": "#336699", "page": 2}]}'
    records = colorize_here(make_task(archive, tmp_path), ["album.tiff"], hints={"album.tiff": text})
    assert [records["album.tiff", page].hints is None for page in range(3)] == [True, False, True]
    assert {record.recipe for record in records.values()} == {make_task(archive, tmp_path).recipe.digest_with(text)}


def test_maps_of_uncertainty_are_stored_where_asked_for(archive, done, tmp_path):
    _, first = done
    task = replace(make_task(archive, tmp_path), charts=True)
    record = colorize_here(task, ["rocket.tif"])["rocket.tif", 0]
    assert record.output_sha256 == first["rocket.tif", 0].output_sha256
    assert record.uncertainty_key == "uncertainty/rocket.tif.jpg.png" and first["rocket.tif", 0].uncertainty_key is None
    chart = np.asarray(Image.open(tmp_path / record.uncertainty_key))
    assert chart.shape == (165, 384) and chart.dtype == np.uint8
    assert chart.mean() / 255 == pytest.approx(record.uncertainty, abs=0.01) and chart.std() > 1


def test_every_attempt_is_an_event(done):
    _, records = done
    for record in records.values():
        event = json.loads(record.premis)
        assert event["eventType"].startswith("http://id.loc.gov/")
        assert len(event["linkingObjectIdentifier"]) == (2 if record.status == "colorized" else 1)


def test_settled_photos_pass_through_predict():
    settled = InFlight(start(make_task("/", "memory://x"), Entry("a", 1, "e"), 0, 1))
    assert predict(make_task("/", "memory://x"))([settled])[0].ab is None


def test_other_weights_than_the_job_s_are_refused():
    task = make_task("/", "memory://x")
    for recipe in (replace(task.recipe, model_digest="0" * 64), replace(task.recipe, inputs=(Input(320),))):
        with pytest.raises(ModelError, match="differs from the job's"):
            Predict("autochrome", replace(task, recipe=recipe), "cpu")


def test_a_name_that_is_no_text_is_rejected_by_name(archive, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / os.fsdecode(b"K\xf6ln.tif")).write_bytes((archive / "rocket.tif").read_bytes())
    (record,) = colorize_here(make_task(tmp_path / "in", tmp_path / "out")).values()
    assert (record.key, record.status, record.error_class) == ("K\\xf6ln.tif", "rejected", "bad_name")
    write_records(make_task(tmp_path, tmp_path / "out").output, "run", [record])  # Parquet takes it


def test_local_copies_of_the_dead_are_removed(archive, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive = tmp_path / "autochrome-999999999-x", tmp_path / f"autochrome-{os.getpid()}-x"
    dead.mkdir(), alive.mkdir()
    (dead / "0").write_bytes(b"half a scan")
    bench = Workbench(make_task(archive, tmp_path / "out"))
    bench.sandbox.close()
    assert not dead.exists() and alive.exists()
    assert bench.scratch.parent == tmp_path and bench.scratch.stat().st_mode & 0o777 == 0o700
