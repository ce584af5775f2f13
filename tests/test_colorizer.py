from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data

from colorize_core import color
from colorize_core.colorizer import Colorizer
from colorize_core.ensemble import Ensemble
from colorize_core.hints import Hints
from colorize_core.inputs import Input
from colorize_core.models import build
from colorize_core.storage import Store
from colorize_core.weights import DEFAULT, ModelError, find


@pytest.fixture(scope="module")
def shipped():
    return find(DEFAULT)


def test_the_shipped_model_says_what_it_is(shipped):
    assert (shipped.name, shipped.architecture) == (DEFAULT, "autochrome")
    assert len(shipped.digest) == 64 and shipped.about["training_data_sha256"] and "license" in shipped.about
    assert shipped.path.with_suffix(".md").is_file()


def test_a_path_is_as_good_as_a_name(shipped, tmp_path):
    copy = tmp_path / "ours.safetensors"
    shutil.copy(shipped.path, copy)
    assert find(str(copy)).digest == shipped.digest


def test_weights_of_others_and_unknown_names_are_named(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="lacks metadata"):
        find(str(tmp_path / "other.safetensors"))
    with pytest.raises(ModelError, match=rf"one of: {DEFAULT}"):
        find("nonesuch")


def test_weights_that_do_not_fit_are_refused(shipped, tmp_path):
    tensors = load_file(shipped.path)
    tensors.pop("regress.bias")
    path = tmp_path / "less.safetensors"
    save_file(tensors, path, shipped.about)
    with pytest.raises(ModelError, match="does not fit"):
        Colorizer(Ensemble.find(str(path)))


def test_settings_travel_with_the_weights(shipped, tmp_path):
    about = shipped.about | {"config": json.dumps(json.loads(shipped.about["config"]) | {"gain": 0.0})}
    path = tmp_path / "gray.safetensors"
    save_file(load_file(shipped.path), path, about)
    (answer,) = Colorizer(Ensemble.find(str(path))).predict([[np.full((64, 64), 50, np.float32)]])
    assert not answer.ab.any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_agrees_with_the_cpu(shipped):
    rng = np.random.default_rng(0)
    photos = [[rng.uniform(0, 100, shape).astype(np.float32)] for shape in [(192, 192), (160, 224), (192, 192)]]
    ensemble = Ensemble((shipped,))
    pairs = zip(Colorizer(ensemble, "cuda").predict(photos), Colorizer(ensemble).predict(photos), strict=True)
    for made, wanted in pairs:
        assert made.ab.shape == wanted.ab.shape and np.abs(made.ab - wanted.ab).max() < 1
        assert made.uncertainty.mean() == pytest.approx(wanted.uncertainty.mean(), abs=0.01)


def test_sky_is_bluer_than_the_ground(shipped):
    """A photograph of a man on a meadow: the model has learned something."""
    picture = cv2.resize(data.camera(), (192, 192), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    (answer,) = Colorizer(Ensemble((shipped,))).predict([[color.gray_to_lightness(picture)]])
    ab, doubt = answer.ab, answer.uncertainty
    sky, meadow = ab[:70, 120:, 1], ab[140:, :40, 1]
    assert sky.mean() < meadow.mean() - 5 and sky.mean() < -5
    assert doubt.min() > 0 and doubt.max() < 1


def test_weights_come_from_a_bucket(shipped, moto_s3, monkeypatch, tmp_path):
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    bucket = moto_s3.make_bucket("weights")
    Store(bucket).put("mine/model.safetensors", shipped.path)
    found = find(f"{bucket}/mine/model.safetensors")
    assert found.digest == shipped.digest and tmp_path in found.path.parents
    assert find(f"{bucket}/mine/model.safetensors").path == found.path
    with pytest.raises(ModelError, match="no weights at s3://weights/mine/other.safetensors"):
        find(f"{bucket}/mine/other.safetensors")


def test_folded_batch_norms_change_no_color(shipped):
    network = build(shipped.architecture, shipped.config).eval()
    network.load_state_dict(load_file(shipped.path))
    lightness = cv2.resize(data.camera(), (192, 160), interpolation=cv2.INTER_AREA).astype(np.float32) / 2.55
    with torch.inference_mode():
        plain = network(torch.from_numpy(lightness)[None, None])[0][0].permute(1, 2, 0).numpy()
    colorizer = Colorizer(Ensemble((shipped,)))
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in colorizer.networks[0].modules())
    np.testing.assert_allclose(colorizer.predict([[lightness]])[0].ab, plain, atol=1e-2)
    assert np.abs(plain).max() > 5


def test_half_precision_moves_no_color(shipped):
    ensemble = Ensemble((shipped,))
    full, half = Colorizer(ensemble), Colorizer(ensemble, precision="bfloat16")
    for picture in (data.camera(), data.chelsea()[..., 1], data.astronaut()[..., 1], data.coffee()[..., 1]):
        lightness = cv2.resize(picture, (192, 192), interpolation=cv2.INTER_AREA).astype(np.float32) / 2.55
        labs = [np.dstack([lightness, colorizer.predict([[lightness]])[0].ab]) for colorizer in (full, half)]
        moved = color.delta_e2000(*labs)
        assert 0 < moved.mean() < 0.5 and np.percentile(moved, 99) < 2


def lightness_of(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 2.55


def test_looks_are_averaged_and_their_disagreement_is_doubt(shipped):
    picture = data.camera()
    plain = Colorizer(Ensemble((shipped,))).predict([[lightness_of(picture, 192, 192)]])[0]
    mirrored = Colorizer(Ensemble((shipped,))).predict([[lightness_of(picture[:, ::-1], 192, 192)]])[0].ab[:, ::-1]
    both = Colorizer(Ensemble((shipped,), ("flip",))).predict([[lightness_of(picture, 192, 192)]])[0]
    np.testing.assert_allclose(both.ab, (plain.ab + mirrored) / 2, atol=1e-3)
    apart = np.hypot(*np.moveaxis(plain.ab - mirrored, -1, 0)) / 2
    assert apart.max() > 1 and (both.uncertainty > 0.99 * plain.uncertainty.min()).all()
    sizes = Colorizer(Ensemble((shipped,), ("sizes",)))
    assert [view.side for view in sizes.views] == [192, 128, 256]
    (answer,) = sizes.predict([[lightness_of(picture, view.side, view.side) for view in sizes.views]])
    assert answer.ab.shape == (256, 256, 2) and 0 <= answer.uncertainty.min() < answer.uncertainty.max() < 1


def test_models_are_averaged_whatever_they_see(shipped):
    other = find("gray2lab")
    wide, square = (lightness_of(data.coffee()[..., 1], *size) for size in ((224, 160), (128, 128)))
    other = replace(other, input=Input(128, squash=True))
    together = Colorizer(Ensemble((shipped, other))).predict([[wide, square]])[0]
    one, two = (Colorizer(Ensemble((m,))).predict([[seen]])[0] for m, seen in ((shipped, wide), (other, square)))
    assert two.uncertainty is None and together.ab.shape == (160, 224, 2)
    grown = cv2.resize(two.ab, (224, 160), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(together.ab, (one.ab + grown) / 2, atol=0.5)
    assert together.uncertainty.mean() > one.uncertainty.mean()


def test_networks_that_take_hints_are_given_them():
    """In the mirror too; and a photo without hints beside one with some is colored as if alone."""
    torch.manual_seed(0)
    network = build("siggraph17").eval()
    colorizer = Colorizer.__new__(Colorizer)
    colorizer.device, colorizer.half, colorizer.flips = torch.device("cpu"), False, (False, True)
    colorizer.networks, colorizer._looks = [network], [[0]]
    hints = Hints.parse(b'{"size": [64, 48], "boxes": [{"x": 4, "y": 8, "width": 8, "height": 6, "color": "#3060c0"}]}')
    lightness = lightness_of(data.camera(), 64, 48)
    plain, hinted = colorizer.predict([[lightness], [lightness]], [None, hints])
    alone = colorizer.predict([[lightness]])[0]
    assert np.array_equal(plain.ab, alone.ab)
    moved = np.abs(hinted.ab - plain.ab).max(-1)
    assert moved[8:14, 4:12].mean() > 2 * moved[:, 40:].mean()


def test_half_precision_is_refused_where_nobody_has_looked(tmp_path):
    network = build("gray2lab", {})
    about = {"name": "g", "architecture": "gray2lab", "config": "{}", "side": "64", "training_data_sha256": "0" * 64}
    about |= {"training_photos": "1", "training_steps": "1", "metrics": "{}", "license": "CC0-1.0"}
    save_file(network.state_dict(), tmp_path / "g.safetensors", about)
    with pytest.raises(ModelError, match="float32 only"):
        Colorizer(Ensemble.find(str(tmp_path / "g.safetensors")), precision="bfloat16")
