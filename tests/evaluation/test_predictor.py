from __future__ import annotations

import numpy as np
import pytest
from judged import write_weights

from colorize_core.ensemble import Ensemble
from colorize_core.evaluation.predictor import Predictor, model_rows


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Ensemble.find(str(write_weights(tmp_path_factory.mktemp("weights") / "small.safetensors", side=64)))


@pytest.mark.parametrize("side", [48, 64, 160])
def test_a_model_works_at_its_own_side_and_its_colors_come_back(model, side):
    predictor, seen = Predictor(model), []
    predict = predictor.colorizer.predict
    predictor.colorizer.predict = lambda photos: seen.extend(photos[0]) or predict(photos)
    ramp = np.linspace(10, 90, side, dtype=np.float32)
    ab, uncertainty = predictor(np.broadcast_to(ramp, (side, side)))
    assert [picture.shape for picture in seen] == [(64, 64)]
    assert seen[0].mean() == pytest.approx(50, abs=0.1) and seen[0][0, -1] > 85
    own = predict([seen])[0].ab
    assert ab.shape == (side, side, 2) and uncertainty is None
    assert ab.mean((0, 1)) == pytest.approx(own.mean((0, 1)), abs=0.05)
    assert ab[side // 2, side // 2] == pytest.approx(own[31:33, 31:33].mean((0, 1)), abs=0.5)


def test_models_of_one_name_are_told_apart(model):
    rows = model_rows([model, model], {"gray"})
    assert [row.name for row in rows] == ["small", f"small@{model.digest[:8]}"]
    assert model_rows([model], {"small"})[0].name == rows[1].name


def test_the_cost_of_a_model(model):
    cost = Predictor(model).cost()
    assert cost.parameters_m == pytest.approx(0.032, abs=0.001)
    assert cost.gflops == pytest.approx(0.40, abs=0.02) and 0 < cost.ms < 10_000
