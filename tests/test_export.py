from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tasks import colorize_here, make_task

from colorize_core.colorizer import fold, open_network
from colorize_core.inputs import Input
from colorize_core.models import build
from colorize_core.models.onnx_graph import OnnxGraph
from colorize_core.records import Status
from colorize_core.weights import DEFAULT, find
from jobs import export
from jobs.export import Asked, main, picture


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("exported") / "ours.onnx"
    assert main([DEFAULT, str(path)]) == 0
    return str(path)


@pytest.mark.parametrize(("width", "height", "pictures"), [(192, 192, 1), (224, 160, 2), (32, 64, 3)])
def test_colors_and_doubts_are_those_of_torch(exported, width, height, pictures):
    network, graph = open_network(find(DEFAULT)), OnnxGraph(**find(exported).config)
    seen = torch.cat([picture(width, height), 100 - picture(width, height), picture(width, height) / 2])[:pictures]
    with torch.inference_mode():
        (ab, doubt), (wanted, doubt_wanted) = graph(seen), network(seen)
    np.testing.assert_allclose(ab, wanted, atol=1e-3)
    np.testing.assert_allclose(doubt, doubt_wanted, atol=1e-4)
    assert np.ptp(wanted.numpy()) > 2


def test_what_is_written_can_be_named_as_a_model(exported):
    found, ours = find(exported), find(DEFAULT)
    assert (found.name, found.architecture, found.input) == (ours.name, "onnx", ours.input)
    assert found.about["license"] == ours.about["license"] and ours.digest in Path(exported + ".yaml").read_text()


def test_the_graph_is_plain(exported):
    model = onnx.load(exported)
    assert {opset.domain for opset in model.opset_import} == {""}
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert b"export.py" not in model.SerializeToString()  # nor any other path of the machine that it was made on


def test_an_archive_is_colored_alike(exported, archive, tmp_path):
    keys = ["box 1/portrait.jpg", "rocket.tif"]
    ours = colorize_here(make_task(archive, tmp_path / "ours"), keys)
    theirs = colorize_here(make_task(archive, tmp_path / "theirs", model=exported), keys, model=exported)
    assert {record.status for record in theirs.values()} == {Status.COLORIZED} and len(theirs) == 2
    for photo, record in theirs.items():
        assert record.colorfulness == pytest.approx(ours[photo].colorfulness, rel=1e-3)
        assert record.uncertainty == pytest.approx(ours[photo].uncertainty, abs=1e-4)
        assert record.model_digest == find(exported).digest != ours[photo].model_digest


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    assert main(["gray2lab", str(path), "--side", "64"]) == 0
    return path


def test_a_side_may_be_chosen(small):
    assert find(str(small)).input == Input(64)
    assert sorted(path.name for path in small.parent.iterdir()) == ["small.onnx", "small.onnx.yaml"]


def test_other_colors_are_not_written(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export, "write_graph", lambda network, path: shutil.copy(small, path))
    assert main(["linear", str(tmp_path / "x.onnx")]) == 1
    assert "Lab units from torch's; nothing is written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "out", "sentence"),
    [
        ("nonesuch", "x.onnx", "nonesuch"),
        (DEFAULT, "x.pth", "x.pth is not the path of an .onnx file"),
        (DEFAULT, "s3://bucket/x.onnx", "s3://bucket/x.onnx is not the path of an .onnx file"),
        (DEFAULT, "none/x.onnx", "nothing can be written to none; make the folder first"),
    ],
)
def test_the_impossible_is_said_first(model, out, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([model, out]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_onnx_is_not_exported_again(exported, tmp_path, capsys):
    assert main([exported, str(tmp_path / "x.onnx")]) == 2
    assert "ours.onnx is ONNX already" in capsys.readouterr().err


def test_a_network_that_can_say_how_sure_it_is_does():
    network = build("eccv16").eval()
    fold(network)
    with torch.inference_mode():
        ab, doubt = Asked(network)(picture(32, 64))
    assert (ab.shape, doubt.shape) == ((1, 2, 64, 32), (1, 1, 64, 32))
