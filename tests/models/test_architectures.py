"""What every architecture without hints promises, and how large each one is."""

from __future__ import annotations

import pytest
import torch

from colorize_core.models import ARCHITECTURES, build
from colorize_core.weights.published import PUBLISHED

LITE = {"classifier": "efficientnet-lite0"}
# architecture, config, parameters outside the classifier, what height and width must be multiples of
NETWORKS = [
    ("gray2lab", {}, 32_202, 8),
    ("xception-fusion", LITE, 7_163_874, 8),
    ("colornet", {"variant": "L"}, 31_036_546, 16),
    ("colornet", {"variant": "gray"}, 31_036_546, 16),
    ("autoencoder", {}, 27_619, 1),
    ("linear", {}, 25, 1),
    ("beta", {}, 3_892_194, 8),
    ("inception-fusion", LITE, 6_541_202, 8),
]


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda row: "-".join([row[0], *row[1].values()]))
def row(request):
    architecture, config, parameters, stride = request.param
    torch.manual_seed(0)
    return build(architecture, config).eval(), parameters, stride


def test_every_architecture_is_held_to_it():
    assert {row[0] for row in NETWORKS} | {"autochrome", "onnx"} | set(PUBLISHED) == set(ARCHITECTURES)


def test_parameters_are_counted(row):
    network, wanted, _ = row
    trained = {name: p.numel() for name, p in network.named_parameters() if p.requires_grad}
    assert sum(trained.values()) == wanted
    assert not any(name.startswith("classifier.") for name in trained)


@pytest.mark.parametrize("size", [(64, 96), (256, 256)])
def test_ab_is_as_large_as_the_lightness(row, size):
    network, *_ = row
    with torch.inference_mode():
        ab = network(torch.rand(1, 1, *size) * 100)
    assert ab.shape == (1, 2, *size) and ab.dtype == torch.float32
    assert ab.isfinite().all() and ab.std() > 0


@pytest.mark.parametrize(
    ("architecture", "config"),
    [("gray2lab", {}), ("beta", {}), ("xception-fusion", LITE), ("inception-fusion", LITE)],
)
def test_a_tanh_bounds_ab(architecture, config):
    """Driven far beyond their range, the networks with a tanh answer 128 Lab units and no more."""
    network = build(architecture, config).eval()
    *_, last = (layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d))
    with torch.no_grad():
        last.weight.mul_(1e6)
        ab = network(torch.rand(1, 1, 64, 64) * 100)
    assert ab.abs().max() == 128


def test_an_output_of_zero_is_gray(row):
    network, *_ = row
    *_, last = (layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d))
    weights, bias = last.weight.detach().clone(), last.bias.detach().clone()
    with torch.no_grad():
        last.weight.zero_(), last.bias.zero_()
        ab = network(torch.rand(1, 1, 32, 32) * 100)
        last.weight.copy_(weights), last.bias.copy_(bias)
    assert not ab.any()


def test_hints_are_refused(row):
    network, *_ = row
    with pytest.raises(ValueError, match="takes no color hints"):
        network(torch.zeros(1, 1, 64, 64), torch.zeros(1, 3, 64, 64))


def test_sizes_that_do_not_fit_are_refused(row):
    network, _, stride = row
    assert network.stride == stride
    for size in [(stride + 1, 2 * stride), (2 * stride, stride // 2 or 1)]:
        if stride > 1:
            with pytest.raises(ValueError, match=f"height and width must be multiples of {stride}"):
                network(torch.zeros(1, 1, *size))
    with pytest.raises(ValueError, match=r"lightness must be \(B, 1, H, W\)"):
        network(torch.zeros(1, 3, 64, 64))


def test_unknown_settings_are_named():
    with pytest.raises(ValueError, match="known: L, gray"):
        build("colornet", {"variant": "l"})
    with pytest.raises(ValueError, match="known: xception, inception-resnet-v2, efficientnet-lite0"):
        build("xception-fusion", {"classifier": "vgg"})
    with pytest.raises(ValueError, match="unknown architecture 'nonesuch'; known: autochrome, autoencoder, beta"):
        build("nonesuch", {})
