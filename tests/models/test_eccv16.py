from __future__ import annotations

import hashlib

import golden
import numpy as np
import pytest
import synthetic
import torch
from torch import nn

from colorize_core.colorizer import fold
from colorize_core.models import build
from colorize_core.models.cost import gflops
from colorize_core.models.eccv16 import normalized_entropy

# SHA-256 of the published file's names and shapes, and of what its values are here
LAYOUT = "f9db8094f4c09c481dba084e3b60e04e919c2a0877b41bb51e9ee40577c565f9"
WEIGHTS = "f9bc0b1d085db0b294969994ab3ca2851172ff5f112b59a3cf50d594bbddb361"


@pytest.fixture(scope="module")
def network():
    network = build("eccv16")
    network.load_state_dict(synthetic.weights(network), strict=True)
    return network.eval()


@pytest.fixture(scope="module")
def answers(network):
    return {case: golden.answer(network, case) for case in ("a", "a_rect")}


def test_it_is_laid_out_as_the_published_file(network):
    state = network.state_dict()
    assert len(state) == 82 and sum(p.numel() for p in network.parameters()) == 32_236_011
    layout = "\n".join(f"{key} {list(tensor.shape)}" for key, tensor in state.items())
    assert hashlib.sha256(layout.encode()).hexdigest() == LAYOUT
    assert golden.digest(state) == WEIGHTS
    assert {part.eps for part in network.modules() if isinstance(part, nn.BatchNorm2d)} == {1e-5}
    assert gflops(network, 256) == pytest.approx(83.5, abs=0.1)


@pytest.mark.parametrize("case", ["a", "a_rect"])
def test_it_answers_as_the_authors_program(answers, case):
    golden.check("eccv16", case, answers[case], 3e-3)


@pytest.mark.parametrize("case", ["a", "a_rect"])
def test_it_answers_so_everywhere(answers, case, data):
    golden.check_whole(data, "eccv16", case, answers[case], 3e-3, 3e-4)


def test_entropy_tells_how_unsure_it_is(network, answers):
    lightness = torch.from_numpy(synthetic.lightness(256, 256, "a"))[None, None]
    with torch.inference_mode():
        ab, uncertainty = network.with_uncertainty(lightness)
    assert np.array_equal(ab[0].numpy(), answers["a"])
    assert uncertainty.shape == (1, 1, 256, 256) and 0 < uncertainty.min() < uncertainty.max() < 1


def test_entropy_stays_within_its_range():
    flat, sure = torch.full((1, 313, 2, 2), 1 / 313), torch.eye(313)[:1, :, None, None]
    assert normalized_entropy(flat, 4) == pytest.approx(1, abs=1e-6) and normalized_entropy(flat, 4).max() <= 1
    assert torch.equal(normalized_entropy(sure, 4), torch.zeros(1, 1, 4, 4))


def test_one_with_no_idea_says_so_in_half_precision_too():
    network = build("eccv16").eval()
    nn.init.zeros_(network.model8[-1].weight), nn.init.zeros_(network.model8[-1].bias)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        _, uncertainty = network.with_uncertainty(torch.full((1, 1, 32, 32), 50.0))
    assert uncertainty.dtype == torch.float32 and uncertainty.min() > 1 - 1e-5 and uncertainty.max() <= 1


def test_folding_and_half_precision_keep_its_colors(network, answers):
    other = build("eccv16")
    other.load_state_dict(network.state_dict())
    fold(other.eval())
    assert list(other.state_dict()) == list(network.state_dict())  # no convolution comes right before a norm
    other.to(memory_format=torch.channels_last)
    assert np.abs(golden.answer(other, "a") - answers["a"]).max() < 3e-3
    with torch.autocast("cpu", torch.bfloat16):
        moved = np.abs(golden.answer(other, "a") - answers["a"])
    assert 0 < moved.mean() < 0.5


def test_what_it_cannot_take_is_refused(network):
    with pytest.raises(ValueError, match="multiples of 8"):
        network(torch.zeros(1, 1, 60, 64))
    with pytest.raises(ValueError, match="no color hints"):
        network(torch.zeros(1, 1, 64, 64), torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match=r"lightness must be \(B, 1, H, W\)"):
        network(torch.zeros(1, 3, 64, 64))
    state = network.state_dict()
    del state["model8.6.bias"]
    with pytest.raises(RuntimeError, match="model8.6.bias"):
        build("eccv16").load_state_dict(state)
