from __future__ import annotations

import hashlib
import math

import golden
import numpy as np
import pytest
import synthetic
import torch
from torch import nn

from colorize_core.colorizer import fold
from colorize_core.models import build
from colorize_core.models.cost import gflops

CASES = ("a", "a_rect", "a_hints")
# SHA-256 of the published file's names and shapes, and of what its values are here
LAYOUT = "8b12128ccae8526d31855616fc06c2d476c957b3d5b164ba6bce5b4e4b0e87b0"
WEIGHTS = "3c681dded82b4e02344a8630978aae6f9985d6b82436a12062d92d5c55153068"


@pytest.fixture(scope="module")
def network():
    network = build("siggraph17")
    network.load_state_dict(synthetic.weights(network), strict=True)
    return network.eval()


@pytest.fixture(scope="module")
def answers(network):
    return {case: golden.answer(network, case) for case in CASES}


def test_it_is_laid_out_as_the_published_file(network):
    state = network.state_dict()
    assert len(state) == 107 and sum(p.numel() for p in network.parameters()) == 34_187_027
    layout = "\n".join(f"{key} {list(tensor.shape)}" for key, tensor in state.items())
    assert hashlib.sha256(layout.encode()).hexdigest() == LAYOUT
    assert golden.digest(state) == WEIGHTS
    assert {part.eps for part in network.modules() if isinstance(part, nn.BatchNorm2d)} == {1e-5}
    assert gflops(network, 256) == pytest.approx(150.4, abs=0.1)


@pytest.mark.parametrize("case", CASES)
def test_it_answers_as_the_authors_program(answers, case):
    golden.check("siggraph17", case, answers[case], 1e-3)


@pytest.mark.parametrize("case", CASES)
def test_it_answers_so_everywhere(answers, case, data):
    golden.check_whole(data, "siggraph17", case, answers[case], 1e-3, 1e-4)


def test_hints_change_what_is_near_them_most(answers):
    moved = np.abs(answers["a_hints"] - answers["a"]).max(0)
    hinted = synthetic.hints(256, 256, "a")[2] > 0
    assert moved[hinted].min() > 10 * np.median(moved)


def test_entropy_tells_how_unsure_it_is(network, answers):
    lightness = torch.from_numpy(synthetic.lightness(256, 256, "a"))[None, None]
    with torch.inference_mode():
        ab, uncertainty = network.with_uncertainty(lightness)
    assert np.array_equal(ab[0].numpy(), answers["a"])
    assert uncertainty.shape == (1, 1, 256, 256) and 0 < uncertainty.min() < uncertainty.max() < 1


def test_logits_count_for_a_fifth():
    """One bin of 529 with a logit that gives it half of all: entropy log 2 + log(528) / 2."""
    network = build("siggraph17").eval()
    nn.init.zeros_(network.model_class[0].weight), nn.init.zeros_(network.model_class[0].bias)
    with torch.inference_mode():
        network.model_class[0].bias[7] = 5 * math.log(528)
        _, uncertainty = network.with_uncertainty(torch.full((1, 1, 32, 32), 50.0))
    wanted = (math.log(2) + math.log(528) / 2) / math.log(529)
    assert uncertainty.numpy() == pytest.approx(np.full((1, 1, 32, 32), wanted), abs=1e-5)


def test_one_with_no_idea_says_so_in_half_precision_too():
    network = build("siggraph17").eval()
    nn.init.zeros_(network.model_class[0].weight), nn.init.zeros_(network.model_class[0].bias)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        _, uncertainty = network.with_uncertainty(torch.full((1, 1, 32, 32), 50.0))
    assert uncertainty.dtype == torch.float32 and uncertainty.min() > 1 - 1e-5 and uncertainty.max() <= 1


def test_folding_and_half_precision_keep_its_colors(network, answers):
    other = build("siggraph17")
    other.load_state_dict(network.state_dict())
    fold(other.eval())
    assert list(other.state_dict()) == list(network.state_dict())  # no convolution comes right before a norm
    other.to(memory_format=torch.channels_last)
    assert np.abs(golden.answer(other, "a") - answers["a"]).max() < 1e-3
    with torch.autocast("cpu", torch.bfloat16):
        moved = np.abs(golden.answer(other, "a") - answers["a"])
    assert 0 < moved.mean() < 0.5


def test_a_mask_may_be_centered(network):
    centered = build("siggraph17", {"mask_center": 0.5})
    centered.load_state_dict(network.state_dict())
    with torch.inference_mode():
        lightness, hints = torch.full((1, 1, 32, 32), 50.0), torch.zeros(1, 3, 32, 32)
        assert torch.equal(network(lightness), network(lightness, hints))
        hints[:, 2] = 0.5
        assert torch.equal(centered.eval()(lightness, hints), network(lightness))


def test_what_it_cannot_take_is_refused(network):
    with pytest.raises(ValueError, match="multiples of 8"):
        network(torch.zeros(1, 1, 60, 64))
    with pytest.raises(ValueError, match="hints must be"):
        network(torch.zeros(1, 1, 64, 64), torch.zeros(1, 2, 64, 64))
    with pytest.raises(ValueError, match=r"lightness must be \(B, 1, H, W\)"):
        network(torch.zeros(1, 4, 64, 64))
    state = network.state_dict()
    del state["model_class.0.bias"]
    with pytest.raises(RuntimeError, match="model_class.0.bias"):
        build("siggraph17").load_state_dict(state)
