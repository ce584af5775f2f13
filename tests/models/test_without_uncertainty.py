"""Architectures that say nothing of their doubt, from a weights file to a photo's record."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from colorize_core.colorizer import Colorizer
from colorize_core.derivative import Encoding
from colorize_core.models import build
from colorize_core.provenance import Label
from colorize_core.recipe import Recipe
from colorize_core.records import Record, Status
from colorize_core.stages import InFlight, Predict
from colorize_core.weights import find


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(build("gray2lab", {}).state_dict(), path, {"architecture": "gray2lab", "config": "{}", "side": "64"})
    return find(str(path))


def test_their_uncertainty_is_none(model):
    photos = [np.full((64, 96), 40, np.float32), np.full((32, 32), 60, np.float32)]
    answers = Colorizer(model).predict(photos)
    assert [(ab.shape, uncertainty) for ab, uncertainty in answers] == [((64, 96, 2), None), ((32, 32, 2), None)]


def test_a_record_holds_none(model):
    record = Record("a.png", 0, "/a.png", 1, "", "", Status.FAILED, "run")
    recipe = Recipe(model.name, model.digest, model.side, Encoding(), False, Label())
    photo = InFlight(record, lightness=np.full((32, 64), 50, np.float32))
    (done,) = Predict(str(model.path), recipe, "cpu")([photo])
    assert done.ab.shape == (32, 64, 2)
    assert done.record.uncertainty is None and done.record.ms_predict > 0
