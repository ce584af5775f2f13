from __future__ import annotations

import io
import json
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from colorize_core import color
from colorize_core.storage import StorageError, Store
from colorize_core.training import journal as module
from colorize_core.training.journal import CURVES, HISTORY, Journal
from colorize_core.training.samples import GAP, LABELS, ROWS, SHEET, choose, row_key

COUNT, SIDE = 3, 32


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "out"))


@pytest.fixture
def uncurved(monkeypatch) -> None:
    """Drawing takes its time; these tests look at other things."""
    monkeypatch.setattr(module, "draw_curves", lambda history, total_steps: b"curves")


def pictures(seed: int = 0) -> np.ndarray:
    """Smooth color pictures: JPEG keeps them."""
    coarse = np.random.default_rng(seed).integers(40, 215, (COUNT, 3, 3, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(c).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for c in coarse])


def constant(a: float, b: float):
    """A network that colors everything alike."""

    def predict(lightness: torch.Tensor) -> torch.Tensor:
        assert lightness.shape == (COUNT, 1, SIDE, SIDE) and lightness.dtype == torch.float32
        assert 10 < lightness.mean() < 100
        return torch.tensor([a, b]).view(1, 2, 1, 1).expand(COUNT, 2, SIDE, SIDE).bfloat16()

    return predict


def taken(step: int, loss: float = 2.0) -> dict:
    return {"step": step, "loss": loss, "rate": 1e-3, "photographs": 16 * step, "seconds": 0.5 * step}


def scored(step: int, psnr: float = 22.0) -> dict:
    return {
        "step": step, "psnr": np.float32(psnr), "constant_psnr": 21.5, "colorfulness_ratio": 0.8, "delta_e": 9.0,
        "seconds": 0.5 * step, "psnr by cluster": {0: 21.0},
    }  # fmt: skip


def train(journal: Journal, first: int, last: int, every: int, predict=None) -> None:
    for step in range(first, last + 1):
        journal.step(taken(step, 4 - step / 50))
        if step % every == 0:
            journal.validated(scored(step, 20 + step / 50), predict or constant(5, 15))


def picture(store: Store, key: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(store.read(key))).convert("RGB")).astype(int)


def row_of(sheet: np.ndarray, row: int) -> np.ndarray:
    """The pictures of a row of the sheet, without the gaps."""
    top = GAP + row * (SIDE + GAP)
    lefts = [LABELS + i * (SIDE + GAP) for i in range(COUNT)]
    return np.stack([sheet[top : top + SIDE, left : left + SIDE] for left in lefts])


def events(store: Store, folder: Path):
    """What TensorBoard reads from the store."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder.mkdir()
    for entry in store.list("tensorboard/"):
        (folder / entry.key.removeprefix("tensorboard/")).write_bytes(store.read(entry.key))
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


@pytest.fixture(params=["file", "memory", "moto_s3"])
def any_store(request, tmp_path, monkeypatch) -> Store:
    if request.param == "file":
        return Store(str(tmp_path / "out"))
    if request.param == "memory":
        return Store(f"memory://{uuid.uuid4()}/out")
    server = request.getfixturevalue("moto_s3")
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return Store(server.make_bucket(f"b-{uuid.uuid4()}") + "/out")


def test_what_lies_in_the_store(any_store):
    photographs = pictures()
    journal = Journal(any_store, photographs, 40)
    train(journal, 1, 40, 20)
    journal.close()
    keys = {entry.key for entry in any_store.list()}
    assert {key for key in keys if not key.startswith("tensorboard/")} == {
        CURVES, HISTORY, SHEET, row_key(20), row_key(40),
    }  # fmt: skip
    assert len([key for key in keys if key.startswith("tensorboard/")]) == 1
    assert json.loads(any_store.read(HISTORY)) == journal.history
    curves = picture(any_store, CURVES)
    assert curves.shape == (1260, 1200, 3) and (curves == [0x1F, 0x5F, 0xA8]).all(-1).sum() > 1000
    sheet = picture(any_store, SHEET)
    assert sheet.shape == (GAP + 4 * (SIDE + GAP), LABELS + COUNT * (SIDE + GAP), 3)
    assert np.ptp(row_of(sheet, 0), axis=-1).max() <= 3  # gray
    assert np.abs(row_of(sheet, 3) - photographs).mean() < 4


def test_colorings_keep_the_lightness_of_the_photograph(store):
    photographs = pictures()
    journal = Journal(store, photographs, 40)
    journal.validated(scored(20), constant(70, 60))  # more chroma than sRGB shows
    journal.close()
    lab = color.srgb_to_lab(row_of(picture(store, SHEET), 1) / 255)
    truth = color.srgb_to_lab(photographs / 255)
    assert np.abs(lab[..., 0] - truth[..., 0]).mean() < 1
    assert np.median(lab[..., 1]) > 20
    assert np.median(np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))) == pytest.approx(40.6, abs=4)


@pytest.mark.usefixtures("uncurved")
def test_a_resumed_training_loses_no_row_and_no_point(store):
    photographs = pictures()
    whole = Journal(Store(f"memory://{uuid.uuid4()}"), photographs, 60)
    train(whole, 1, 60, 10)
    first = Journal(store, photographs, 60)
    train(first, 1, 30, 10, constant(40, 0))
    checkpoint = json.loads(json.dumps(first.history))
    train(first, 31, 44, 10)  # is killed here; what came after the checkpoint is done again
    second = Journal(store, photographs, 60, checkpoint)
    train(second, 31, 60, 10)
    second.close()
    assert [entry["step"] for entry in second.history] == [entry["step"] for entry in whole.history]
    losses = [[entry.get("loss") for entry in journal.history] for journal in (second, whole)]
    assert [loss is None for loss in losses[0]] == [loss is None for loss in losses[1]]
    assert [x for x in losses[0] if x] == pytest.approx([x for x in losses[1] if x])
    sheet = picture(store, SHEET)
    assert len(sheet) == GAP + 8 * (SIDE + GAP)
    redness = [color.srgb_to_lab(row_of(sheet, row) / 255)[..., 1].mean() for row in range(1, 7)]
    assert min(redness[:3]) > 20 and max(redness[3:]) < 10  # the first three are those of before


@pytest.mark.usefixtures("uncurved")
def test_rows_that_are_gone_or_of_other_photographs_are_left_out(store):
    journal = Journal(store, pictures(), 60)
    train(journal, 1, 30, 10)
    store.delete(row_key(10))
    resumed = Journal(store, pictures()[:2], 60, journal.history)
    resumed.validated(scored(40), lambda lightness: torch.zeros(2, 2, SIDE, SIDE))
    assert len(picture(store, SHEET)) == GAP + 3 * (SIDE + GAP)


@pytest.mark.usefixtures("uncurved")
def test_rows_of_an_earlier_training_are_left_out(store):
    train(Journal(store, pictures(), 60), 1, 40, 10)
    train(Journal(store, pictures(), 60), 1, 20, 20)
    assert len(picture(store, SHEET)) == GAP + 3 * (SIDE + GAP)


@pytest.mark.parametrize("last", [4, 8, 9, 28, 400])
def test_which_rows_are_shown(last):
    steps = [250 * i for i in range(1, last + 1)]
    chosen = choose(steps)
    assert len(chosen) == min(ROWS, last) and chosen == sorted(set(chosen) & set(steps))
    assert (chosen[0], chosen[-1]) == (250, 250 * last)
    if last > 20:
        gaps = np.diff(chosen)
        assert gaps[0] == 250 and gaps[-1] == gaps.max()  # most changes early


def test_the_loss_is_smoothed_and_thinned(store):
    journal = Journal(store, pictures(), 5000)
    noise = np.random.default_rng(0).normal(0, 1, 5000)
    for step in range(1, 5001):
        journal.step(taken(step, 3 + noise[step - 1]))
    losses = [entry["loss"] for entry in journal.history]
    assert len(losses) == 500 and journal.history[-1]["step"] == 5000
    assert journal.history[-1].keys() == {"step", "loss", "rate", "photographs", "seconds"}
    assert np.mean(losses) == pytest.approx(3, abs=0.1) and 0.03 < np.std(losses) < 0.3


def test_a_loss_that_is_no_number_is_told_and_breaks_nothing(store, capsys):
    journal = Journal(store, pictures(), 4)
    for step, loss in enumerate([3.0, float("nan"), float("inf"), 3.0], 1):
        journal.step(taken(step, loss))
    journal.validated(scored(4, float("inf")), constant(0, 0))
    journal.close()
    assert [entry.get("loss") for entry in journal.history] == [3.0, 3.0, 3.0, 3.0, None]
    assert "loss 3.0000 (2 were no number)" in capsys.readouterr().out
    assert json.loads(store.read(HISTORY), parse_constant=pytest.fail)[-1]["psnr"] is None


@pytest.mark.usefixtures("uncurved")
def test_lines_on_the_terminal(store, capsys, monkeypatch):
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    journal = Journal(store, pictures(), 4000)
    capsys.readouterr()
    for step in range(1, 26):
        journal.step(taken(step))
        now += 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["1/4,000", "11/4,000", "21/4,000"]
    # ten steps of 16 photographs in 5 s of training; a step takes 10/11 s and 3,989 are left
    assert lines[1] == "11/4,000 steps (0%)  loss 2.0000  32.0 photographs/s  about 60 min left"
    journal.validated(scored(500), constant(0, 0))
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        "validation at step 500: PSNR 22.00 dB (one constant color 21.50)  colorfulness 0.80 of the photographs'  "
        "delta E 9.00  after 4 min"
    )


@pytest.mark.usefixtures("uncurved")
def test_tensorboard_reads_the_events_of_a_resumed_training_as_one(store, tmp_path):
    photographs = pictures()
    first = Journal(store, photographs, 60)
    train(first, 1, 30, 10)
    checkpoint = list(first.history)
    train(first, 31, 40, 10)
    second = Journal(store, photographs, 60, checkpoint)
    train(second, 31, 60, 10)
    second.close()
    assert len(list(store.list("tensorboard/"))) == 2
    read = events(store, tmp_path / "events")
    assert [event.step for event in read.Scalars("training/loss")] == list(range(1, 61))
    assert read.Scalars("training/loss")[-1].value == pytest.approx(4 - 60 / 50)
    assert [(e.step, round(e.value, 3)) for e in read.Scalars("validation/psnr")] == [
        (step, round(20 + step / 50, 3)) for step in range(10, 61, 10)
    ]
    images = read.Images("samples/coloring")
    assert [image.step for image in images] == [10, 20, 30, 40, 50, 60]
    assert Image.open(io.BytesIO(images[0].encoded_image_string)).size == (COUNT * SIDE, SIDE)
    assert {"samples/gray", "samples/original"} < set(read.Tags()["images"])


def test_without_tensorboard_and_matplotlib(store, capsys, monkeypatch):
    for name in ("tensorboard", "torch.utils.tensorboard", "matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    journal = Journal(store, pictures(), 40)
    assert capsys.readouterr().out.splitlines() == [
        "not installed: matplotlib and tensorboard; training goes on without what they would show"
    ]
    train(journal, 1, 40, 20)
    journal.close()
    assert {entry.key for entry in store.list()} == {HISTORY, SHEET, row_key(20), row_key(40)}
    assert "not installed" not in capsys.readouterr().out


@pytest.mark.usefixtures("uncurved")
def test_a_store_that_takes_nothing_does_not_stop_the_training(store, capsys, monkeypatch):
    journal = Journal(store, pictures(), 40)
    with monkeypatch.context() as broken:
        broken.setattr(store, "put", lambda *_: (_ for _ in ()).throw(StorageError("the disk is full")))
        train(journal, 1, 20, 10)
    assert capsys.readouterr().err.count("warning: the journal was not stored: the disk is full") == 2
    train(journal, 21, 30, 10)
    assert [store.exists(row_key(step)) for step in (10, 20, 30)] == [True] * 3
    assert len(picture(store, SHEET)) == GAP + 5 * (SIDE + GAP)


def test_without_samples(store):
    journal = Journal(store, np.empty((0, SIDE, SIDE, 3), np.uint8), 40)
    train(journal, 1, 40, 20, predict=pytest.fail)
    journal.close()
    assert not store.exists(SHEET) and store.exists(CURVES)


def test_a_training_without_validations_has_curves(store):
    journal = Journal(store, pictures(), 40)
    train(journal, 1, 10, 20)
    journal.close()
    assert store.exists(CURVES) and not store.exists(SHEET)
