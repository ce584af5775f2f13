from __future__ import annotations

import hashlib
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage.color import rgb2lab

from colorize_core.curation.examine import Rules
from colorize_core.curation.sources import Arrays, Crawl, Folder, SourceError, find_source
from colorize_core.curation.survey import Survey
from colorize_core.photo import Limits, Rejected
from colorize_core.storage import NotFound, SourceChanged, Store
from colorize_core.workbench import Workbench
from crawler.items import SCHEMA, Photo


@pytest.fixture
def bench(tmp_path):
    store = Store(str(tmp_path))
    bench = Workbench(Survey(store, store, "run", Rules(), Limits(), 60, 1 << 30))
    yield bench
    bench.sandbox.close()


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG")
    return sink.getvalue()


def test_a_folder_lists_everything_and_folders_are_categories(tmp_path, bench):
    (tmp_path / "cats/tabby").mkdir(parents=True)
    (tmp_path / "top.jpg").write_bytes(jpeg(0))
    (tmp_path / "cats/tabby/a.jpg").write_bytes(jpeg(1))
    origin = find_source(bench.work.source)
    assert isinstance(origin, Folder)
    rows = origin.listing().to_pylist()
    assert [row["key"] for row in rows] == ["cats/tabby/a.jpg", "top.jpg"]
    about = origin.about(rows)
    assert [a["category"] for a in about] == ["cats/tabby", None]
    assert about[1]["url_sha1"] == hashlib.sha1(about[1]["url"].encode()).hexdigest()
    assert origin.copy(rows[1], bench, tmp_path / "copy") == hashlib.sha256(jpeg(0)).hexdigest()


def test_a_file_that_changed_since_it_was_listed_is_not_examined_as_the_listed_one(tmp_path, bench):
    (tmp_path / "a.jpg").write_bytes(jpeg(0))
    origin = Folder(bench.work.source)
    row = origin.listing().to_pylist()[0]
    (tmp_path / "a.jpg").write_bytes(jpeg(1) + b" ")
    with pytest.raises(SourceChanged):
        origin.copy(row, bench, tmp_path / "copy")


def test_a_name_that_is_not_text_is_rejected_by_that(tmp_path, bench):
    with open(bytes(tmp_path) + b"/caf\xe9.jpg", "wb") as file:
        file.write(jpeg(0))
    origin = Folder(bench.work.source)
    row = origin.listing().to_pylist()[0]
    assert row["key"] == "caf\\xe9.jpg"
    with pytest.raises(Rejected, match="rename"):
        origin.copy(row, bench, tmp_path / "copy")


def write_crawl(root, *runs: list[Photo]) -> None:
    for number, photos in enumerate(runs):
        (root / f"records/run={number}").mkdir(parents=True)
        pq.write_table(
            pa.Table.from_pylist([vars(photo) for photo in photos], SCHEMA), root / f"records/run={number}/0.parquet"
        )


def met(name: str, status: str, hour: int = 0, **more) -> Photo:
    from datetime import UTC, datetime

    url = f"https://example.org/{name}"
    return Photo(
        url=url, page_url="https://example.org/page", source="gallery", title=f"title of {name}",
        license_url="https://creativecommons.org/licenses/by/4.0/", url_sha1=hashlib.sha1(url.encode()).hexdigest(),
        status=status, path=f"originals/{name}" if status == "stored" else None,
        crawled_at=datetime(2026, 1, 1, hour, tzinfo=UTC), run="0", **more,
    )  # fmt: skip


def test_a_crawl_gives_what_it_stored_with_what_is_known_of_it(tmp_path, bench):
    (tmp_path / "originals").mkdir()
    for name in ("a.jpg", "b.jpg", "unrecorded.jpg"):
        (tmp_path / "originals" / name).write_bytes(jpeg(len(name)))
    write_crawl(
        tmp_path,
        [met("a.jpg", "failed"), met("b.jpg", "stored"), met("c.jpg", "metadata_only"), met("d.jpg", "rejected")],
        [met("a.jpg", "stored", 1), met("b.jpg", "failed", 2), met("gone.jpg", "stored")],
    )
    origin = find_source(bench.work.source)
    assert isinstance(origin, Crawl)
    rows = origin.listing().to_pylist()
    assert sorted(row["key"] for row in rows) == ["originals/a.jpg", "originals/b.jpg", "originals/gone.jpg"]
    titles = {row["key"]: about["title"] for row, about in zip(rows, origin.about(rows), strict=True)}
    assert titles == {f"originals/{n}": f"title of {n}" for n in ("a.jpg", "b.jpg", "gone.jpg")}
    gone = next(row for row in rows if "gone" in row["key"])
    with pytest.raises(NotFound, match="records name it"):
        origin.copy(gone, bench, tmp_path / "copy")


def write_arrays(root, pictures: np.ndarray, *parts: int) -> None:
    """8-bit Lab as OpenCV has it, from RGB (n, h, w, 3)."""
    lab = rgb2lab(pictures)
    (root / "l").mkdir()
    (root / "ab").mkdir()
    np.save(root / "l/gray_scale.npy", np.round(lab[..., 0] * 2.55).astype(np.uint8))
    ab, at = np.round(lab[..., 1:] + 128).astype(np.uint8), 0
    for number, count in enumerate(parts):
        np.save(root / f"ab/ab{number + 1}.npy", ab[at : at + count])
        at += count


@pytest.fixture
def pictures() -> np.ndarray:
    """Twelve smooth pictures of 32 x 32 in colors well inside the gamut."""
    rng = np.random.default_rng(0)
    small = rng.integers(60, 200, (12, 4, 4, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(p).resize((32, 32), Image.Resampling.BICUBIC)) for p in small])


def test_arrays_pair_lightness_with_the_color_at_the_same_place(tmp_path, bench, pictures):
    write_arrays(tmp_path, pictures, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1)  # ab10.npy must come after ab9.npy
    origin = find_source(bench.work.source)
    assert isinstance(origin, Arrays)
    rows = origin.listing().to_pylist()
    assert len(rows) == 12 and len({row["key"] for row in rows}) == 12
    for number in (0, 8, 9, 10, 11):
        origin.copy(rows[number], bench, tmp_path / "copy.png")
        difference = np.abs(np.asarray(Image.open(tmp_path / "copy.png")).astype(int) - pictures[number])
        assert difference.max() <= 6, number  # 8-bit Lab is coarse


def test_a_picture_beyond_the_end_of_ab_has_no_color(tmp_path, bench, pictures):
    write_arrays(tmp_path, pictures, 5)
    origin = find_source(bench.work.source)
    rows = origin.listing().to_pylist()
    origin.copy(rows[5], bench, tmp_path / "copy.png")
    pixels = np.asarray(Image.open(tmp_path / "copy.png")).astype(int)
    assert np.ptp(pixels, axis=-1).max() <= 1


def test_arrays_in_a_store_that_is_no_file_system(pictures, tmp_path, bench):
    write_arrays(tmp_path, pictures, 12)
    memory = Store("memory://arrays")
    for key in ("l/gray_scale.npy", "ab/ab1.npy"):
        memory.put(key, tmp_path / key)
    origin = find_source(memory)
    rows = origin.listing().to_pylist()
    local = find_source(bench.work.source)
    ours, theirs = (o.copy(rows[3], bench, tmp_path / "copy.png") for o in (origin, local))
    assert ours == theirs


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda root: (root / "ab/ab1.npy").unlink(), "no ab"),
        (lambda root: np.save(root / "ab/ab1.npy", np.zeros((12, 32, 32, 2), np.float32)), "not uint8"),
        (lambda root: np.save(root / "ab/ab1.npy", np.zeros((13, 32, 32, 2), np.uint8)), "fewer"),
        (lambda root: np.save(root / "ab/ab1.npy", np.zeros((12, 16, 16, 2), np.uint8)), "another size"),
        (lambda root: np.save(root / "ab/ab1.npy", np.array([print], object), allow_pickle=True), "not a whole"),
        (lambda root: (root / "ab/ab1.npy").write_bytes((root / "ab/ab1.npy").read_bytes()[:-9]), "not a whole"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_a_sentence(tmp_path, bench, pictures, spoil, said):
    write_arrays(tmp_path, pictures, 12)
    spoil(tmp_path)
    with pytest.raises(SourceError, match=said):
        find_source(bench.work.source).listing()
