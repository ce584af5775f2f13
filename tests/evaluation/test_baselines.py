from __future__ import annotations

import numpy as np
import pytest
from judged import crops, write_dataset

from colorize_core.evaluation import baselines as module
from colorize_core.evaluation.baselines import NAMES, Constant, Nearest, baselines, sample_ab
from colorize_core.evaluation.protocol import Protocol, to_lab
from colorize_core.storage import Store
from colorize_core.training.data import read_photographs

PROTOCOL = Protocol(side=64)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    write_dataset(folder, {"train": crops(9, 96, 0)})
    return read_photographs(Store(str(folder)), "train")


def test_the_mean_color_is_that_of_the_training_photographs(train):
    ab = sample_ab(train, PROTOCOL)
    assert ab.shape == (9 * 16 * 16, 2)
    pixels = np.concatenate([to_lab(PROTOCOL.picture(t))[..., 1:].reshape(-1, 2) for t in train.thumbnails])
    assert np.abs(ab.mean(0) - pixels.mean(0)).max() < 1
    rows = baselines(train, ab, PROTOCOL)
    assert tuple(row.name for row in rows) == NAMES and not any(row.is_model for row in rows)
    assert rows[1].colorize(np.zeros((4, 4), np.float32))[0][2, 3] == pytest.approx(ab.mean(0), abs=1e-4)


def test_the_sample_is_of_the_same_photographs_when_it_is_full(train, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 4)
    assert len(sample_ab(train, PROTOCOL)) == 4 * 16 * 16
    assert (sample_ab(train, PROTOCOL) == sample_ab(train, PROTOCOL)).all()


def test_a_constant_is_one_color():
    ab, uncertainty = Constant(1.5, 8)(np.zeros((5, 7), np.float32))
    assert ab.shape == (5, 7, 2) and (ab == [1.5, 8]).all() and uncertainty is None


def test_a_training_photograph_is_nearest_to_its_own_lightness(train):
    nearest = Nearest(train, PROTOCOL)
    for i, thumbnail in enumerate(train.thumbnails):
        lab = to_lab(PROTOCOL.picture(thumbnail))
        assert nearest.find(lab[..., 0]) == i
        assert (nearest(lab[..., 0])[0] == lab[..., 1:]).all()


def test_nearest_is_nearest(train):
    nearest = Nearest(train, PROTOCOL)
    lightness = to_lab(crops(1, 64, 5)[0])[..., 0]
    distances = ((nearest.small - nearest._small(lightness)) ** 2).sum(1)
    assert nearest.find(lightness) == distances.argmin()
