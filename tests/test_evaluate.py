"""The evaluate job on a small dataset."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from judged import crops, write_dataset, write_weights
from PIL import Image

from colorize_core.evaluation import report
from colorize_core.evaluation.score import FIGURES
from colorize_core.storage import Store
from colorize_core.training.data import read_photographs
from jobs.evaluate import main

ROWS = ["truth", "gray", "mean ab", "ab (1.5, 8)", "nearest copy"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("set")
    write_dataset(folder, {"train": crops(8, 96, 0), "val": crops(3, 96, 1), "test": crops(8, 96, 2)})
    return str(folder)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, dataset) -> list[str]:
    """Two models of one name; the first has learned from the dataset."""
    folder = tmp_path_factory.mktemp("weights")
    digest = read_photographs(Store(dataset), "train").digest
    first = write_weights(folder / "first.safetensors", name="twin", training_data_sha256=digest)
    return [str(first), str(write_weights(folder / "second.safetensors", "linear", name="twin"))]


@pytest.fixture(scope="module")
def kept(tmp_path_factory, dataset, weights):
    out = tmp_path_factory.mktemp("out")
    assert main([*weights, dataset, "--side", "64", "--out", str(out)]) == 0
    return out


def figures(folder) -> dict[tuple[str, str], dict]:
    return {(row["row"], row["sha256"]): row for row in pq.read_table(folder / "photographs.parquet").to_pylist()}


def test_every_row_has_every_figure_of_every_photograph(kept, dataset):
    found, test = figures(kept), read_photographs(Store(dataset), "test")
    names = list(json.loads((kept / "evaluation.json").read_text())["overall"])
    assert names[:-1] == [*ROWS, "twin"] and names[-1].startswith("twin@")
    assert set(found) == {(name, sha256) for name in names for sha256 in test.sha256}
    for (name, _), row in found.items():
        for figure in FIGURES:
            assert (row[figure] is None) == (name == "truth" and figure != "colorfulness")
            assert row[figure] is None or math.isfinite(row[figure])


def test_the_record_says_what_was_measured(kept, dataset, weights):
    record = json.loads((kept / "evaluation.json").read_text())
    test = read_photographs(Store(dataset), "test")
    assert record["photographs"] == {"split": "test", "clusters": None, "limit": None, "count": 8,
                                     "sha256": test.digest}  # fmt: skip
    assert record["protocol"] == {"name": "center-crop", "side": 64}
    assert record["dataset"]["train"]["photographs"] == 8
    assert record["sizes"] == {"0": 4, "1": 4}
    gray, model = record["overall"]["gray"], record["overall"]["twin"]
    assert gray["colorfulness"] < 0.1 and "ms" not in gray
    assert model["parameters_m"] > 0 and model["gflops"] > 0 and model["ms"] > 0
    means = [row["delta_e2000"] for (name, _), row in figures(kept).items() if name == "twin"]
    assert model["delta_e2000"] == pytest.approx(np.mean(means))
    unknown = [note for note in record["notes"] if "is not known" in note]
    assert len(unknown) == 1 and "twin@" in unknown[0]


def test_the_table_is_printed_and_kept(kept, dataset, weights, capsys):
    assert main([weights[0], dataset, "--side", "64"]) == 0
    said = capsys.readouterr().out
    lines = {line.split("  ")[0]: line.split() for line in reversed(said.splitlines())}
    assert {*ROWS, "twin"} <= lines.keys()
    record = json.loads((kept / "evaluation.json").read_text())
    assert f"{record['overall']['gray']['psnr']:.2f}" in lines["gray"]
    assert "8 photographs of the test split" in said and record["photographs"]["sha256"] in said
    markdown = (kept / "evaluation.md").read_text()
    assert f"| gray | {record['overall']['gray']['psnr']:.2f} |" in markdown and "**cluster 1**" in markdown


def test_there_is_a_sheet_for_each_model(kept):
    sheets = sorted(path.name for path in kept.glob("sheet-*.jpg"))
    assert len(sheets) == 2 and "sheet-twin.jpg" in sheets
    for name in sheets:
        assert Image.open(io.BytesIO((kept / name).read_bytes())).width > 1000


def test_a_sheet_goes_from_the_best_to_the_worst_by_color_difference(kept, dataset, weights, tmp_path, monkeypatch):
    shown = {}
    monkeypatch.setattr(report, "make_sheet", lambda title, groups, *about: shown.update(groups) or b"")
    assert main([weights[0], dataset, "--side", "64", "--out", str(tmp_path)]) == 0
    errors = sorted((row["delta_e2000"], sha256) for (name, sha256), row in figures(kept).items() if name == "twin")
    expected = {"best": errors[:2], "median": errors[3:5], "worst": errors[-2:]}
    for group, found in expected.items():
        captions = [strip.caption for strip in shown[group]]
        assert len(captions) == 2
        for caption, (error, sha256) in zip(captions, found, strict=True):
            assert f"dE2000 {error:.1f} " in caption and sha256[:12] in caption
    for strip in shown["worst"]:
        assert np.ptp(strip.gray.astype(int), axis=-1).max() <= 1 < np.ptp(strip.truth.astype(int), axis=-1).max()


def test_some_of_the_photographs_have_the_figures_they_have_among_all(kept, dataset, weights, tmp_path, capsys):
    arguments = [*weights, dataset, "--side", "64", "--clusters", "1", "--limit", "3", "--out", str(tmp_path)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "3 of the 8 photographs" in said and "clusters 1, no more than the first 3 by id" in said
    some, every = figures(tmp_path), figures(kept)
    assert len(some) == 3 * 7
    assert all(row == every[key] for key, row in some.items())
    assert {row["cluster"] for row in some.values()} == {1}
    chosen = [sha256 for sha256 in read_photographs(Store(dataset), "test", [1]).sha256]
    assert {sha256 for _, sha256 in some} == set(chosen[:3])


def test_the_other_split_and_the_other_protocol(dataset, weights, capsys):
    assert main([weights[1], dataset, "--side", "128", "--split", "val", "--protocol", "direct-resize"]) == 0
    said = capsys.readouterr().out
    assert "3 photographs of the val split" in said and "direct-resize at 128 x 128" in said
    assert "3 of 3 photographs are stored with fewer than 128 pixels" in said


def test_a_measure_that_cannot_be_taken_is_left_out_and_said(dataset, weights, tmp_path, capsys):
    assert main([weights[0], dataset, "--side", "64", "--fid", "--limit", "2", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "FID is left out: on 2 photographs" in said
    record = json.loads((tmp_path / "evaluation.json").read_text())
    assert not any("fid" in line for line in record["overall"].values())
    assert any(note.startswith("FID is left out") for note in record["notes"])


def test_what_cannot_be_done_is_said_before_any_work(dataset, weights, tmp_path, capsys):
    empty, untested = tmp_path / "empty", tmp_path / "untested"
    empty.mkdir()
    write_dataset(untested, {"train": crops(2, 64, 0)})
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not weights")
    misfit = write_weights(tmp_path / "misfit.safetensors", architecture="gray2lab", side=65)
    for arguments, words in [
        ([weights[0], str(empty)], "no dataset"),
        ([weights[0], str(tmp_path / "nowhere")], "nowhere"),
        ([weights[0], str(untested)], "no photographs of the split 'test'"),
        (["nonesuch", dataset], "no weights at"),
        ([str(broken), dataset], "not a safetensors file"),
        ([str(misfit), dataset], "65"),
        ([weights[0], dataset, "--clusters", "0,7"], "no photographs of cluster 7; it has clusters 0, 1"),
    ]:
        assert main(arguments) == 2, arguments
        told = capsys.readouterr()
        assert words in told.err and told.err.count("\n") == 1 and not told.out, arguments


def test_nonsense_is_refused(capsys):
    for arguments in (["--clusters", "a"], ["--limit", "0"], ["--side", "8"], ["--protocol", "stretch"]):
        with pytest.raises(SystemExit) as stop:
            main(["model", "set", *arguments])
        assert stop.value.code == 2


def test_weights_that_give_no_numbers_stop_the_job(dataset, tmp_path, capsys):
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = write_weights(tmp_path / "huge.safetensors", "linear")
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    save_file({key: torch.full_like(value, 3e38) for key, value in load_file(path).items()}, path, about)
    assert main([str(path), dataset, "--side", "64"]) == 1
    told = capsys.readouterr()
    assert "huge fails on photograph" in told.err and "not finite" in told.err and "truth" not in told.out
