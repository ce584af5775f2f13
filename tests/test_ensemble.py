from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from colorize_core.derivative import Encoding
from colorize_core.ensemble import Ensemble, sizes, views
from colorize_core.inputs import Input
from colorize_core.provenance import Label
from colorize_core.recipe import Recipe
from colorize_core.weights import Model, ModelError


def model(name: str, architecture: str = "autochrome", side: int = 192, squash: bool = False, **about) -> Model:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Model(Path(name), name, architecture, {}, Input(side, squash), digest, about)


def recipe(*models: Model, test_time: tuple[str, ...] = ()) -> Recipe:
    return Recipe.of(Ensemble(models, test_time), Encoding(), False, Label())


def test_one_model_is_named_by_its_file():
    one = model("a")
    assert (Ensemble((one,)).name, Ensemble((one,)).digest) == ("a", one.digest)
    both = Ensemble((one, model("b")))
    assert both.name == "a+b" and both.digest not in (one.digest, Ensemble((model("b"), one)).digest)


def test_sizes_are_multiples_of_32_about_the_model_s_own():
    assert sizes(Input(192), ()) == sizes(Input(192), ("flip",)) == [Input(192)]
    assert sizes(Input(256, squash=True), ("sizes",)) == [Input(side, squash=True) for side in (256, 192, 320)]
    assert sizes(Input(32), ("sizes",)) == [Input(32)]
    assert max(view.side for view in sizes(Input(2048), ("sizes",))) == 2048


def test_models_share_views():
    assert views([Input(192), Input(256), Input(192)], ()) == (Input(192), Input(256))
    shared = views([Input(256), Input(192)], ("sizes",))
    assert [view.side for view in shared] == [256, 192, 320, 128]  # 256 is also about five quarters of 192


def test_whatever_changes_a_pixel_changes_the_recipe():
    a, b = model("a"), model("b")
    digests = [
        recipe(a).digest,
        recipe(b).digest,
        recipe(a, b).digest,
        recipe(a, test_time=("flip",)).digest,
        recipe(a, test_time=("sizes",)).digest,
        recipe(model("a", side=256)).digest,
        recipe(model("a", squash=True)).digest,
        recipe(a).digest_with('{"palette":[]}'),
    ]
    assert len(set(digests)) == len(digests)
    assert recipe(a).digest_with(None) == recipe(a).digest


def test_hints_are_spread_unless_every_model_does_it():
    taker = model("s", "siggraph17")
    assert recipe(model("a")).spread and recipe(taker, model("a")).spread and not recipe(taker).spread


def test_a_graph_of_one_size_is_not_asked_for_others(monkeypatch):
    monkeypatch.setattr("colorize_core.ensemble.find_all", lambda spec: (model("graph", "onnx", fixed=True),))
    assert Ensemble.find("graph.onnx", ("flip",)).inputs == (Input(192),)
    with pytest.raises(ModelError, match="graph takes pictures of one size only"):
        Ensemble.find("graph.onnx", ("flip", "sizes"))
