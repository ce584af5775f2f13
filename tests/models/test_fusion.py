from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from colorize_core.colorizer import Colorizer
from colorize_core.ensemble import Ensemble
from colorize_core.models import build

LITE = '{"classifier": "efficientnet-lite0"}'


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build("inception-fusion", {"classifier": "efficientnet-lite0"}).eval()


def test_every_place_hears_the_classifier_on_its_own_picture(network):
    """Another answer of the classifier for one picture of a batch changes that picture's color, everywhere."""
    lightness = torch.rand(2, 1, 64, 64) * 100
    embedding = torch.zeros(2, 1000)
    with torch.no_grad():
        network.classifier.forward = lambda _: embedding
        before = network(lightness)
        embedding[1, :500] = 10
        after = network(lightness)
        del network.classifier.forward
    assert torch.equal(after[0], before[0])
    assert (after[1] != before[1]).any(0).float().mean() > 0.99


def test_the_encoder_stops_at_an_eighth(network):
    assert network.encoder(torch.zeros(1, 1, 64, 96)).shape == (1, 256, 8, 12)


def test_color_is_of_half_size(network):
    """The last doubling follows the output convolution, so ab comes in blocks of 2 x 2."""
    with torch.inference_mode():
        ab = network(torch.rand(1, 1, 64, 64) * 100)
    blocks = ab.unfold(2, 2, 2).unfold(3, 2, 2)
    assert (blocks == blocks[..., :1, :1]).all() and ab.std() > 0


def test_a_weights_file_needs_nothing_beside_it(network, tmp_path):
    path = tmp_path / "fused.safetensors"
    save_file(network.state_dict(), path, {"architecture": "inception-fusion", "config": LITE, "side": "64"})
    picture = np.random.default_rng(0).uniform(0, 100, (64, 96)).astype(np.float32)
    ab = Colorizer(Ensemble.find(str(path))).predict([[picture]])[0].ab
    with torch.inference_mode():
        wanted = network(torch.from_numpy(picture)[None, None])[0].permute(1, 2, 0).numpy()
    assert ab.shape == (64, 96, 2) and np.allclose(ab, wanted, atol=1e-5)
