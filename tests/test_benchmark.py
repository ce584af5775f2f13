"""The benchmark: its photographs, its arithmetic, and all of it once on a small set."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from statistics import fmean

import numpy as np
import pytest
from PIL import Image

from benchmark import photos, sameness, worklog
from benchmark.contender import Outcome
from benchmark.figures import alternative, same, sum_up, typical
from benchmark.memory import Peak
from benchmark.ratio import ratio
from benchmark.stages import STAGES
from benchmark.stopwatch import Stopwatch
from colorize_core.photo import open_photo
from jobs import benchmark


def test_the_mix_is_the_one_stated():
    kinds = photos.mix(300)
    assert {(k.megapixels, k.form): k.count for k in kinds} == {
        (megapixels, form): count for megapixels, forms in photos.MIX.items() for form, count in forms.items()
    }
    assert sum(k.count for k in kinds) == 300


@pytest.mark.parametrize("count", [1, 12, 23, 60, 1000])
def test_a_smaller_or_larger_mix_has_every_kind_as_far_as_they_go(count):
    kinds = photos.mix(count)
    assert sum(k.count for k in kinds) == count
    assert len(kinds) == min(count, 23)
    if count >= 12:
        assert {k.form for k in kinds} == set(photos.FORMS)
    if count == 1000:
        common = next(k for k in kinds if (k.megapixels, k.form) == (2, "gray-jpeg"))
        assert common.count == 500


def test_a_sample_has_the_same_mix():
    sizes = [k.megapixels for k in photos.mix(300) for _ in range(k.count)]
    drawn = photos.sample(sizes, 60)
    assert Counter(drawn) == {2: 47, 8: 10, 24: 3}
    assert photos.sample(sizes, 1000) == sizes


@pytest.mark.parametrize(
    ("form", "format", "mode", "bits", "tone"),
    [
        ("gray-jpeg", "JPEG", "L", 8, "neutral"),
        ("rgb-jpeg", "JPEG", "RGB", 8, "neutral"),
        ("sepia-jpeg", "JPEG", "RGB", 8, "toned"),
        ("lzw8", "TIFF", "L", 8, "neutral"),
        ("plain8", "TIFF", "L", 8, "neutral"),
        ("plain16", "TIFF", "L", 16, "neutral"),
        ("lzw16", "TIFF", "L", 16, "neutral"),
    ],
)
def test_photographs_are_what_they_are_called_and_the_same_every_time(form, format, mode, bits, tone, tmp_path):
    for name, number in (("one", 3), ("again", 3), ("other", 4)):
        photos.write(tmp_path / name, 0.4, form, number)
    one, again, other = ((tmp_path / name).read_bytes() for name in ("one", "again", "other"))
    assert one == again != other
    photo = open_photo(tmp_path / "one")
    header = photo.header
    assert (header.format, header.mode, header.bits, str(photo.tone())) == (format, mode, bits, tone)
    assert header.width * header.height == pytest.approx(0.4e6, rel=0.01)
    if form == "gray-jpeg":
        assert 0.3 < len(one) / 0.4e6 < 0.5


def test_a_set_is_made_once(tmp_path):
    made = photos.make(tmp_path, 7, 0.05)
    before = {path: path.stat().st_mtime_ns for path in made}
    assert photos.make(tmp_path, 7, 0.05) == made and len(made) == 7
    assert {path: path.stat().st_mtime_ns for path in made} == before


def test_small_photographs_share_their_bytes(tmp_path):
    photos.small(tmp_path / "small", 50, kinds=3)
    paths = list((tmp_path / "small").rglob("*.jpg"))
    assert len(paths) == 50 and len({path.stat().st_ino for path in paths}) == 3


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_every_moment_belongs_to_the_innermost_name():
    watch, began = Stopwatch(), time.process_time()
    with watch.timing("outer"):
        busy(0.02)
        with watch.timing("inner"):
            busy(0.05)
        busy(0.02)
    busy(0.02)
    assert watch.cpu["inner"] == pytest.approx(0.05, abs=0.01)
    assert watch.cpu["outer"] == pytest.approx(0.04, abs=0.01)
    assert sum(watch.cpu.values()) < time.process_time() - began - 0.015
    assert all(watch.wall[name] >= watch.cpu[name] * 0.9 for name in watch.cpu)


def test_ratios_are_taken_pair_by_pair():
    found = ratio([10, 40, 30], [5, 10, 10])
    assert (found.median, found.low, found.high) == (3, 2, 4)
    for above, below in ([], []), ([1], [1, 2]):
        with pytest.raises(ValueError):
            ratio(above, below)


def row(key: str, megapixels: float, **seconds: float) -> dict:
    return {"key": key, "kind": "k", "megapixels": megapixels, "cpu": seconds, "wall": seconds}


def test_stages_are_medians_of_the_passes_and_sums_over_the_photos():
    passes = [
        [row("a", 2, decode=decode, predict=0.1), row("b", 8, decode=1.0, predict=0.1)] for decode in (0.2, 0.3, 9.0)
    ]
    summed = sum_up(typical(passes))
    assert summed["cpu_seconds"] == pytest.approx(1.5)
    assert summed["stages"]["decode"]["ms_per_photo"] == pytest.approx(650)
    assert summed["stages"]["decode"]["ms_per_megapixel"] == pytest.approx(130)
    assert sum(stage["share"] for stage in summed["stages"].values()) == pytest.approx(1)
    assert summed["stages"]["put"]["cpu_seconds"] == 0


def outcome(working: float, wall: float) -> Outcome:
    return Outcome("", wall, working, 1.0, {"a": "a.jpg", "b": "b.jpg"}, {}, {})


def test_an_alternative_is_compared_pair_by_pair():
    found = alternative([(outcome(w, w + 5), outcome(w / 4, w / 4 + 5)) for w in (20.0, 40.0)], cores=2)
    assert found["times_ours"] == {"median": 4, "low": 4, "high": 4}
    assert found["times_ours_with_start"]["low"] == 2.5
    assert found["core_ms_per_photo"] == pytest.approx(1000 * 2 * 30 / 2)


def test_results_that_differ_are_named():
    found = same({"a": {"mean": 0.1, "p99": 1.0}, "b": {"mean": 9.0, "p99": 20.0}, "c": {"error": "sizes"}})
    assert (found["alike"], found["mean"], found["p99"], found["otherwise"]) == (1, 0.1, 1.0, ["b", "c"])


def test_the_difference_of_pictures(tmp_path):
    picture = np.random.default_rng(0).integers(60, 200, (700, 500, 3), np.uint8)
    shifted = picture.copy()
    shifted[:35] += 9  # one row in twenty
    for name, pixels in (("one", picture), ("two", shifted), ("small", picture[:10])):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    assert sameness.difference(tmp_path / "one.png", tmp_path / "one.png") == pytest.approx((0, 0.01), abs=1e-3)
    mean, most = sameness.difference(tmp_path / "one.png", tmp_path / "two.png")
    assert 0.05 < mean < 0.3 and 1 < most < 6
    with pytest.raises(ValueError, match="size"):
        sameness.difference(tmp_path / "one.png", tmp_path / "small.png")


def test_a_worklog_is_read_back(tmp_path):
    entries = [worklog.Entry("a", 1.0).end(), worklog.Entry("b", 2.0).end(MemoryError("too large"))]
    worklog.write(tmp_path, entries)
    assert worklog.read(tmp_path) == entries
    assert entries[0].error is None and entries[1].error == "MemoryError: too large"


def test_the_peak_of_memory_counts_children():
    child = "import time; block = b'x' * 80_000_000; time.sleep(1.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    peak = Peak()
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        peak.follow(process.pid)
    assert 80e6 < peak.bytes < 400e6


def test_wrong_counts_are_refused():
    for option in ("--count=0", "--sample=0", "--repeats=0", "--growth=10,0", "--without=all"):
        with pytest.raises(SystemExit) as refusal:
            benchmark.parse([option])
        assert refusal.value.code == 2


@pytest.mark.slow
def test_a_small_benchmark_from_end_to_end(tmp_path, capsys):
    arguments = ["--count", "12", "--scale", "0.25", "--sample", "4", "--repeats", "1", "--growth", "8"]
    assert benchmark.main([str(tmp_path), *arguments]) == 0
    said = capsys.readouterr().out
    result = json.loads((tmp_path / "benchmark.json").read_text())
    stages, job, cores = result["stages"], result["job"], result["machine"]["cores"]
    assert stages["photos"] == job["photos"] == 12 and not job["failed"]
    assert stages["stages"].keys() == STAGES.keys()
    assert all(stage["cpu_seconds"] > 0 for stage in stages["stages"].values())
    total = sum(stage["cpu_seconds"] for stage in stages["stages"].values())
    assert stages["cpu_seconds"] == pytest.approx(total)
    assert sum(kind["cpu_seconds"] for kind in result["kinds"].values()) == pytest.approx(total)
    assert result["floor"]["seconds"] == pytest.approx(total / cores)
    assert 0 < job["working"][0] < job["wall"][0] and 0 < job["first_photo"][0] < job["wall"][0]
    assert job["over_floor"]["median"] == pytest.approx(job["working"][0] / result["floor"]["seconds"], rel=0.01)
    assert result["trouble"] == {} and len(result["alternatives"]) == 3
    for name, found in result["alternatives"].items():
        assert found["photos"] == 4 and found["same"]["compared"]
        assert name in said and 0 < found["working"][0] < found["wall"][0]
        eight_bit = [row["mean"] for key, row in found["same"]["compared"].items() if "16" not in key]
        assert fmean(eight_bit) <= sameness.BOUND and max(eight_bit) < 1, (name, found["same"])
    assert len(result["finish"]["finish_ms"]) == 7 and result["growth"][0]["done"] == 8
    with Image.open(tmp_path / "benchmark.png") as picture:
        picture.load()
        assert picture.width == 1500
