from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from colorize_core.colorizer import Colorizer
from colorize_core.models import build
from colorize_core.models.autochrome import ab_bins
from colorize_core.training import data as training_data
from colorize_core.training import losses, metrics
from colorize_core.training.export import export
from colorize_core.training.loop import train
from colorize_core.weights import find

TINY = {"widths": [8, 8, 8, 8], "bin_width": 30.0}


def encoded(rgb: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(rgb).save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Forty blue-over-green pictures, and one gray one that teaches nothing."""
    folder, rng = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)
    pictures = []
    for _ in range(40):
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[:32], picture[32:] = (90, 140, 220), (60, 130, 40)
        pictures.append((picture + rng.integers(0, 30, picture.shape)).astype(np.uint8))
    pictures.append(np.full((64, 64, 3), 120, np.uint8))
    rows = [
        {"name": f"{i}", "licence": "CC0", "licence_tier": "A", "image": encoded(p)} for i, p in enumerate(pictures)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "photos-0.parquet")
    return folder


def test_gray_photographs_are_left_out(shards):
    photos = training_data.load_photos(shards, side=64)
    assert len(photos.rgb) == 40 and photos.licenses == {("A", "CC0"): 40}


def test_the_split_does_not_depend_on_what_else_is_there(shards):
    photos = training_data.load_photos(shards, side=64)
    few = training_data.Photos(photos.rgb[:20], photos.names[:20], photos.licenses, "")
    held = set(photos.split(0.3)[1].names)
    assert set(few.split(0.3)[1].names) == held & set(few.names) and 0 < len(held) < 25


def test_degradation_touches_lightness_only(shards):
    photos = training_data.load_photos(shards, side=64)
    lightness, ab = training_data.batch(photos, 16, 64, np.random.default_rng(1))
    assert lightness.shape == (16, 1, 64, 64) and ab.shape == (16, 2, 64, 64)
    assert lightness.min() >= 0 and lightness.max() <= 100
    assert ab[:, 1, :16].mean() < -10  # the sky is blue in every one


def test_bins_cover_srgb():
    bins = ab_bins(10.0)
    assert 230 <= len(bins) <= 290  # an exhaustive count over 16.7 million colors gives 261
    rgb = torch.rand(3000, 3)
    from colorize_core.color import srgb_to_lab

    assert torch.cdist(srgb_to_lab(rgb)[:, 1:], bins).min(1).values.max() < 10


def test_rare_colors_weigh_more_and_the_expected_weight_is_one():
    bins = ab_bins(30.0)
    prior = torch.full((len(bins),), 0.1 / (len(bins) - 1))
    prior[3] = 0.9
    loss = losses.RebalancedColor(bins, prior)
    assert loss.weights[3] < loss.weights[0]
    assert (loss.weights * prior).sum().item() == pytest.approx(1)


def test_the_right_answer_costs_less():
    bins = ab_bins(30.0)
    loss = losses.RebalancedColor(bins, torch.full((len(bins),), 1 / len(bins)))
    ab = bins[5].view(1, 2, 1, 1).expand(1, 2, 16, 16)
    right = torch.zeros(1, len(bins), 4, 4)
    right[:, 5] = 10
    wrong = right.roll(7, 1)
    small = ab[:, :, :4, :4]
    assert loss(right, small, ab) < loss(wrong, small, ab)
    assert loss(right, small, ab) < loss(right, small + 40, ab)


def test_metrics():
    gray = np.full((8, 8, 3), 100, np.uint8)
    assert metrics.psnr(gray, gray) == float("inf")
    assert metrics.psnr(gray, gray + 10) == pytest.approx(28.13, abs=0.01)
    assert metrics.colorfulness(gray) == 0
    assert metrics.colorfulness(np.dstack([gray[..., 0] + 50, gray[..., 1], gray[..., 2]])) > 10


def test_training_resumes_and_its_weights_load(shards, tmp_path):
    photos = training_data.load_photos(shards, side=64)
    train(photos, tmp_path, config=TINY, steps=3, batch_size=4)
    train(photos, tmp_path, config=TINY, steps=6, batch_size=4)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [3, 6]
    assert all(np.isfinite(entry["psnr_model"]) for entry in log)
    export(tmp_path / "last.pt", tmp_path / "tiny.safetensors", 64, {"gain": 1.5})
    model = find(str(tmp_path / "tiny.safetensors"))
    assert model.config == TINY | {"gain": 1.5} and model.about["training_data_sha256"] == photos.digest
    ((ab, _),) = Colorizer(model).predict([np.full((64, 96), 50, np.float32)])
    assert ab.shape == (64, 96, 2)


def test_unknown_architectures_and_odd_sizes_are_named():
    with pytest.raises(ValueError, match="known: autochrome"):
        build("nonesuch", {})
    network = build("autochrome", TINY).eval()
    with pytest.raises(ValueError, match="multiples of 32"):
        network(torch.zeros(1, 1, 60, 64))
    with pytest.raises(ValueError, match="hints"):
        network(torch.zeros(1, 1, 64, 64), hints=torch.zeros(1))
