"""How far an ab can see, measured by its gradient, and by how much a network's answer moves with its picture."""

from __future__ import annotations

import pytest
import torch

from colorize_core.models import build

SIDE = 160
MIDDLE = 80
# A network from its input to its output along one axis: a stride of a convolution of 3, or a doubling.
DOUBLING = 0
GRAY2LAB = (2, 1, 1, 2, 1, 2, DOUBLING, 1, DOUBLING, 1, DOUBLING, 1)
BETA = (1, 2, 1, 2, 1, 2, 1, 1, 1, DOUBLING, 1, DOUBLING, 1, 1, DOUBLING)


def derived(layers: tuple[int, ...], place: int) -> tuple[int, int]:
    """First and last input place that an output place depends on, layer by layer from the output back."""
    first = last = place
    for stride in reversed(layers):
        if stride == DOUBLING:
            first, last = first // 2, last // 2
        else:
            first, last = first * stride - 1, last * stride + 1
    return first, last


def opened(network: torch.nn.Module) -> torch.nn.Module:
    """The network with positive weights, so that no ReLU hides a path from its gradient."""
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.fill_(1 / layer.weight[0].numel())
                layer.bias.zero_()
    return network


def measured(network: torch.nn.Module, places: range) -> list[tuple[int, int]]:
    """First and last input place whose lightness moves the ab of each place on the diagonal, both axes agreeing."""
    lightness = torch.full((1, 1, SIDE, SIDE), 60.0, requires_grad=True)
    ab = network(lightness)
    found = []
    for place in places:
        (gradient,) = torch.autograd.grad(ab[0, :, place, place].sum(), lightness, retain_graph=True)
        spans = []
        for axis in (0, 1):
            seen = gradient[0, 0].abs().sum(axis).nonzero().flatten()
            spans.append((int(seen.min()), int(seen.max())))
            assert len(seen) == seen.max() - seen.min() + 1
        assert spans[0] == spans[1]
        found.append(spans[0])
    return found


@pytest.mark.parametrize(("architecture", "layers", "widths"), [("gray2lab", GRAY2LAB, {39, 47}), ("beta", BETA, {93})])
def test_the_gradient_reaches_as_far_as_the_layers_say(architecture, layers, widths):
    places = range(MIDDLE, MIDDLE + 8)  # one total stride: every phase of the doublings
    spans = measured(opened(build(architecture, {})), places)
    assert spans == [derived(layers, place) for place in places]
    assert {last - first + 1 for first, last in spans} == widths


@pytest.mark.parametrize(("architecture", "reach"), [("autoencoder", 2), ("linear", 0)])
def test_color_from_brightness_looks_no_further(architecture, reach):
    spans = measured(opened(build(architecture, {})), range(MIDDLE, MIDDLE + 2))
    assert spans == [(place - reach, place + reach) for place in (MIDDLE, MIDDLE + 1)]


@pytest.mark.parametrize(("architecture", "stride"), [("gray2lab", 8), ("beta", 8), ("autoencoder", 1)])
def test_the_answer_moves_with_the_picture_by_the_total_stride(architecture, stride):
    torch.manual_seed(0)
    network = build(architecture, {}).eval()
    picture = torch.rand(1, 1, 192 + 16, 192 + 16) * 100

    def at(offset: int) -> torch.Tensor:
        """The ab of one place of the picture, whose frame is moved."""
        with torch.inference_mode():
            ab = network(picture[..., offset : offset + 192, offset : offset + 192])
        return ab[..., 96 - offset : 112 - offset, 96 - offset : 112 - offset]

    still = at(0)
    assert torch.allclose(at(stride), still, atol=1e-3 * float(still.std()))
    for step in range(1, stride):
        assert not torch.allclose(at(step), still, atol=0.1 * float(still.std()))
