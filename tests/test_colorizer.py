from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data

from colorize_core import color
from colorize_core.colorizer import Colorizer
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


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"", "not a safetensors file"), (b"version https://git-lfs", "not a safetensors file")]
)
def test_files_that_are_no_weights_are_named(tmp_path, content, sentence):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=sentence) as error:
        find(str(path))
    assert "broken.safetensors" in str(error.value)


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
        Colorizer(find(str(path)))


def test_settings_travel_with_the_weights(shipped, tmp_path):
    about = shipped.about | {"config": json.dumps(json.loads(shipped.about["config"]) | {"gain": 0.0})}
    path = tmp_path / "gray.safetensors"
    save_file(load_file(shipped.path), path, about)
    ((ab, _),) = Colorizer(find(str(path))).predict([np.full((64, 64), 50, np.float32)])
    assert not ab.any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_agrees_with_the_cpu(shipped):
    rng = np.random.default_rng(0)
    photos = [rng.uniform(0, 100, shape).astype(np.float32) for shape in [(192, 192), (160, 224), (192, 192)]]
    pairs = zip(Colorizer(shipped, "cuda").predict(photos), Colorizer(shipped).predict(photos), strict=True)
    for (ab, doubt), (wanted, doubt_wanted) in pairs:
        assert ab.shape == wanted.shape and np.abs(ab - wanted).max() < 1
        assert doubt == pytest.approx(doubt_wanted, abs=0.01)


def test_sky_is_bluer_than_the_ground(shipped):
    """A photograph of a man on a meadow: the model has learned something."""
    picture = cv2.resize(data.camera(), (192, 192), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    ((ab, doubt),) = Colorizer(shipped).predict([color.gray_to_lightness(picture)])
    sky, meadow = ab[:70, 120:, 1], ab[140:, :40, 1]
    assert sky.mean() < meadow.mean() - 5 and sky.mean() < -5
    assert 0 < doubt < 1


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
    colorizer = Colorizer(shipped)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in colorizer.network.modules())
    np.testing.assert_allclose(colorizer.predict([lightness])[0][0], plain, atol=1e-2)
    assert np.abs(plain).max() > 5


def test_half_precision_moves_no_color(shipped):
    full, half = Colorizer(shipped), Colorizer(shipped, precision="bfloat16")
    for picture in (data.camera(), data.chelsea()[..., 1], data.astronaut()[..., 1], data.coffee()[..., 1]):
        lightness = cv2.resize(picture, (192, 192), interpolation=cv2.INTER_AREA).astype(np.float32) / 2.55
        labs = [np.dstack([lightness, colorizer.predict([lightness])[0][0]]) for colorizer in (full, half)]
        moved = color.delta_e2000(*labs)
        assert 0 < moved.mean() < 0.5 and np.percentile(moved, 99) < 2


def test_half_precision_is_refused_where_nobody_has_looked(tmp_path):
    network = build("gray2lab", {})
    about = {"name": "g", "architecture": "gray2lab", "config": "{}", "side": "64", "training_data_sha256": "0" * 64}
    about |= {"training_photos": "1", "training_steps": "1", "metrics": "{}", "license": "CC0-1.0"}
    save_file(network.state_dict(), tmp_path / "g.safetensors", about)
    with pytest.raises(ModelError, match="float32 only"):
        Colorizer(find(str(tmp_path / "g.safetensors")), precision="bfloat16")
