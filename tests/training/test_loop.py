"""The loop on networks small enough to train in a second, alone and as two workers."""

from __future__ import annotations

import functools
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from color_dataset import write_dataset

from colorize_core.colorizer import Colorizer
from colorize_core.ensemble import Ensemble
from colorize_core.models import build
from colorize_core.storage import Store
from colorize_core.training import loop
from colorize_core.training.checkpoint import TrainingError, claim, read_checkpoint
from colorize_core.training.data import read_photographs, shuffled
from colorize_core.training.loop import Assignment, learning_rate, train
from colorize_core.training.recipe import Augmentation, Recipe, to_values
from colorize_core.weights import find

TINY = {"widths": [8, 8, 8, 8], "bin_width": 30.0}
PHOTOGRAPHS = 24  # in the train split


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> str:
    return write_dataset(str(tmp_path_factory.mktemp("set")), train=PHOTOGRAPHS, val=4, test=0, side=32).root


@pytest.fixture(autouse=True)
def quiet_journal(monkeypatch):
    """The curve takes a second to draw, and has tests of its own."""
    monkeypatch.setattr("colorize_core.training.journal.draw_curves", lambda *_: b"")


def recipe(**changes) -> Recipe:
    values = {"architecture": "gray2lab", "steps": 9, "batch": 8, "canvas": 32, "sides": (32,), "validate": 3}
    return Recipe(**{"name": "tiny", **values, **changes})


def assignment(dataset: str, output: Path, how: Recipe, **more) -> Assignment:
    about = {"training_data_sha256": "d", "training_photos": PHOTOGRAPHS, "licenses": {"CC0 1.0": PHOTOGRAPHS}}
    return Assignment(how, dataset, str(output), about, **more)


def batches(dataset: str, how: Recipe, part: slice = slice(None)):
    photographs = read_photographs(Store(dataset), "train")
    draw = functools.partial(shuffled, photographs, how.batch, how.canvas, how.framing, 0)

    def share(epoch, seen):
        for batch in draw(epoch, seen):
            mine = type(batch)(batch.ids[part], batch.rgb[part])
            if len(mine.ids):
                yield mine

    return share


def run(dataset: str, output: Path, how: Recipe, **more) -> dict[str, torch.Tensor]:
    """Train alone; the weights it ends with."""
    train(assignment(dataset, output, how, **more), batches(dataset, how))
    return read_checkpoint(Store(str(output))).network


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], **tolerance) -> bool:
    return all(torch.allclose(a[name].double(), b[name].double(), **tolerance) for name in a)


class Killed(BaseException):
    """As sudden as a power cut: nothing in the loop catches it."""


def killed_after(share, steps: int):
    """The same batches, but the process dies at one of them."""
    count = 0

    def cut(epoch, seen):
        nonlocal count
        for batch in share(epoch, seen):
            if count == steps:
                raise Killed
            count += 1
            yield batch

    return cut


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_training_learns(dataset, tmp_path, optimizer):
    run(dataset, tmp_path, recipe(steps=40, validate=20, rate=3e-3, optimizer=optimizer))
    history = json.loads(Store(str(tmp_path)).read("history.json"))
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("dies_at", [4, 7, 8])
def test_a_killed_training_goes_on_as_if_nothing_had_happened(dataset, tmp_path, dies_at):
    how = recipe(
        schedule="cosine", average=0.9, augmentation=Augmentation(flip=0.5, degrade=True), steps=10, validate=2
    )
    whole = run(dataset, tmp_path / "whole", how)
    task = assignment(dataset, tmp_path / "cut", how)
    with pytest.raises(Killed):
        train(task, killed_after(batches(dataset, how), dies_at))
    assert read_checkpoint(Store(task.output)).position.step == dies_at // 2 * 2
    assert same(whole, run(dataset, tmp_path / "cut", how), atol=1e-6)
    position = read_checkpoint(Store(task.output)).position
    assert position.photographs == 10 * 8 == position.epoch * PHOTOGRAPHS + len(position.seen)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(dataset, tmp_path):
    whole = run(dataset, tmp_path / "whole", recipe(steps=3))
    parts = run(dataset, tmp_path / "parts", recipe(steps=3, accumulate=3))
    assert same(whole, parts, atol=1e-5)


SHARES = {
    "halves": [slice(0, 4), slice(4, 8)],
    "uneven": [slice(0, 7), slice(7, 8)],
    "one has none": [slice(0, 8), slice(8, 9)],
}


def work(rank: int, dataset: str, output: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{output / 'meeting'}", rank=rank, world_size=2)
    how = recipe(steps=4)
    for name, shares in SHARES.items():
        train(assignment(dataset, output / name, how), batches(dataset, how, shares[rank]))
    dist.barrier()
    os._exit(0)  # gloo's threads can abort an interpreter that is being taken down


def test_two_workers_learn_what_one_does_however_the_photographs_fall(dataset, tmp_path):
    alone = run(dataset, tmp_path / "alone", recipe(steps=4))
    mp.spawn(work, (dataset, tmp_path), nprocs=2)
    for name in SHARES:
        both = read_checkpoint(Store(str(tmp_path / name)))
        assert same(alone, both.network, atol=1e-5), name
        assert both.position.photographs == 32 == both.position.epoch * PHOTOGRAPHS + len(both.position.seen)


def test_an_end_that_is_not_a_number_is_said_and_keeps_the_last_checkpoint(dataset, tmp_path):
    share = batches(dataset, recipe())
    poison = {"on": False}

    def poisoned(network):
        def hook(module, inputs, output):
            return output * math.nan if poison["on"] else output

        network.register_forward_hook(hook)
        return network

    def later(epoch, seen):
        for i, batch in enumerate(share(epoch, seen)):
            poison["on"] = epoch == 1 and i == 1
            yield batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "build", lambda *a: poisoned(build(*a)))
        patch.setattr(
            loop, "validate", lambda *a: {"psnr": 0, "constant_psnr": 0, "delta_e": 0, "colorfulness_ratio": 0}
        )
        with pytest.raises(TrainingError, match="step 5 is not a number.*Lower the rate"):
            train(assignment(dataset, tmp_path, recipe()), later)
    state = read_checkpoint(Store(str(tmp_path)))
    assert state.position.step == 3
    assert all(value.isfinite().all() for value in state.network.values())


def test_frozen_parts_stay_and_the_others_move(dataset, tmp_path):
    how = recipe(architecture="autochrome", config=TINY, loss="rebalanced", freeze=("encoder.stem", "encoder.stages.0"),
                 rates={"encoder": 0.1}, batch=4, steps=2, precision="bfloat16")  # fmt: skip
    torch.manual_seed(0)
    before = build("autochrome", TINY).state_dict()
    after = run(dataset, tmp_path, how)
    frozen = [name for name in before if name.startswith(how.freeze)]
    assert len(frozen) > 10 and all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["encoder.stages.3.0.project.0.weight"], after["encoder.stages.3.0.project.0.weight"])


def test_the_weights_it_leaves_color_pictures_and_start_trainings(dataset, tmp_path):
    how = recipe(average=0.9)
    run(dataset, tmp_path / "first", how)
    model = find(str(tmp_path / "first" / "tiny.safetensors"))
    assert model.architecture == "gray2lab" and model.input.side == 32
    assert model.about["training_steps"] == "9" and json.loads(model.about["licenses"]) == {"CC0 1.0": PHOTOGRAPHS}
    (answer,) = Colorizer(Ensemble((model,))).predict([[np.full((64, 96), 50, np.float32)]])
    assert answer.ab.shape == (64, 96, 2) and answer.uncertainty is None
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "init.safetensors").write_bytes(model.path.read_bytes())
    network = build("gray2lab", {})
    loop.start(network, assignment(dataset, tmp_path / "second", how, init="first"))
    expected = Colorizer(Ensemble((model,))).networks[0].state_dict()
    assert same(network.state_dict(), expected)
    with pytest.raises(TrainingError, match="weights of first do not fit"):
        other = assignment(dataset, tmp_path / "second", recipe(architecture="beta"), init="first")
        loop.start(build("beta", {}), other)


def test_an_output_keeps_to_its_training(tmp_path):
    store = Store(str(tmp_path))
    training = {"recipe": to_values(recipe()), "seed": 0}
    claim(store, training)
    claim(store, training)
    with pytest.raises(TrainingError, match="recipe was architecture 'gray2lab', now 'beta'"):
        claim(store, {"recipe": to_values(recipe(architecture="beta")), "seed": 0})
    with pytest.raises(TrainingError, match="seed was 0, now 1"):
        claim(store, training | {"seed": 1})


def test_a_damaged_checkpoint_is_named(dataset, tmp_path):
    run(dataset, tmp_path, recipe(steps=3))
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainingError, match="checkpoint.pt cannot be read.*delete it"):
        run(dataset, tmp_path, recipe(steps=3))


def test_rates_rise_and_fall():
    how = recipe(rate=1.0, warmup=10, schedule="cosine", steps=100)
    rates = [learning_rate(how, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(rates[9], abs=0.05)
    assert rates == rates[:10] + sorted(rates[10:], reverse=True) and rates[-1] < 0.001
    assert learning_rate(recipe(rate=0.5), 7) == 0.5
