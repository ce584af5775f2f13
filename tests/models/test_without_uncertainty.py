"""Architectures that say nothing of their doubt, from a weights file to a photo's record."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tasks import make_task

from colorize_core.colorizer import Colorizer
from colorize_core.ensemble import Ensemble
from colorize_core.models import build
from colorize_core.records import Record, Status
from colorize_core.stages import InFlight, Predict


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(build("gray2lab", {}).state_dict(), path, {"architecture": "gray2lab", "config": "{}", "side": "64"})
    return Ensemble.find(str(path))


def test_their_uncertainty_is_none(model):
    photos = [[np.full((64, 96), 40, np.float32)], [np.full((32, 32), 60, np.float32)]]
    answers = Colorizer(model).predict(photos)
    assert [(a.ab.shape, a.uncertainty) for a in answers] == [((64, 96, 2), None), ((32, 32, 2), None)]


def test_a_record_holds_none(model, tmp_path):
    record = Record("a.png", 0, "/a.png", 1, "", "", Status.FAILED, "run")
    path = str(model.models[0].path)
    photo = InFlight(record, lightness=(np.full((32, 64), 50, np.float32),))
    (done,) = Predict(path, make_task(tmp_path, tmp_path / "out", model=path), "cpu")([photo])
    assert done.ab.shape == (32, 64, 2)
    assert done.record.uncertainty is None and done.record.ms_predict > 0
