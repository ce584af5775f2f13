from __future__ import annotations

import cv2
import golden
import numpy as np
import pytest
import synthetic
import torch
import torch.nn.functional as F
from skimage.color import lab2rgb, rgb2lab
from torch import Tensor, nn

from colorize_core.colorizer import fold
from colorize_core.models import build
from colorize_core.models.cost import gflops
from colorize_core.models.ddcolor import DDColor
from colorize_core.models.layers import gray

# name: parameters, entries of the state, billions of operations at 256 x 256 and 512 x 512
NETWORKS = {
    "ddcolor-tiny": (55_006_640, 440, 50.301222912, 193.024770048),
    "ddcolor-large": (227_869_328, 602, 133.151932416, 524.427608064),
}
SHA256 = {
    "ddcolor-tiny": "002e28ef2a592db354590c59031dc5340c29f6c6a741015e6ce0507b26a191c5",
    "ddcolor-large": "f2542e59c4ceccbdb0569cbb64a646acd2330309a1c932d38f0cc02631c21ce8",
}
MOST, MEAN = 1e-3, 1e-4  # Lab units between two correct computations in float32
tiny_only = pytest.mark.parametrize("name", ["ddcolor-tiny"], indirect=True)


def shapes(name: str) -> nn.Module:
    """The network without numbers."""
    with torch.device("meta"):
        return build(name).eval()


def loaded(name: str, state: dict[str, Tensor]) -> nn.Module:
    network = shapes(name)
    network.load_state_dict(state, assign=True)
    return network


@pytest.fixture(scope="module", params=NETWORKS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def state(name) -> dict[str, Tensor]:
    return synthetic.weights(shapes(name))


@pytest.fixture(scope="module")
def published(name, state) -> nn.Module:
    """As its weights are published."""
    return loaded(name, state)


@pytest.fixture(scope="module")
def folded(name, state) -> nn.Module:
    """As a colorizer uses it."""
    network = loaded(name, state)
    fold(network)
    return network.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def answers(published, folded) -> dict[str, np.ndarray]:
    return {"a": golden.answer(published, "a"), "a_rect": golden.answer(folded, "a_rect")}


@pytest.mark.parametrize("case", ["a", "a_rect"])
def test_it_answers_as_the_authors_program(case, name, answers):
    golden.check(name, case, answers[case], MOST)


@pytest.mark.parametrize("case", ["a", "a_rect"])
def test_it_answers_so_everywhere(case, name, answers, data):
    golden.check_whole(data, name, case, answers[case], MOST, MEAN)


def test_pictures_come_out_as_from_the_authors_program(name, folded, data):
    """Squashed in float, seen as the gray of its lightness, ab enlarged by repetition under the lightness at full size.

    Their program takes lightness from OpenCV's table, ours from the formulas: a level here and there.
    """
    kept = np.load(data / "reference" / "checkpoints" / "golden" / f"{name.replace('-', '_')}_e2e_a.npz")
    picture = synthetic.picture(150, 200, "e2e-a").astype(np.float32) / 255
    full, seen = (rgb2lab(rgb)[..., 0].astype(np.float32) for rgb in (picture, cv2.resize(picture, (256, 256))))
    with torch.inference_mode():
        ab = folded(torch.from_numpy(seen)[None, None])
    assert np.abs(ab[0, :, ::3, ::3].numpy() - kept["ab_step3"]).mean() < 0.2
    enlarged = F.interpolate(ab, size=full.shape, mode="nearest")[0].permute(1, 2, 0).numpy()
    apart = np.abs(np.rint(255 * np.clip(lab2rgb(np.dstack([full, enlarged])), 0, 1)) - kept["rgb"])
    assert apart.mean() <= 0.6 and np.percentile(apart, 99) <= 3


def test_it_is_laid_out_as_the_published_files(name, state):
    parameters, entries, *_ = NETWORKS[name]
    assert sum(p.numel() for p in shapes(name).parameters()) == parameters and len(state) == entries
    assert golden.digest(state) == SHA256[name]


def test_spectral_norms_stay_as_stored(state, published, answers):
    """No power iteration has moved their vectors."""
    vectors = {key: value for key, value in published.state_dict().items() if key.endswith(("weight_u", "weight_v"))}
    assert len(vectors) == 16
    assert all(torch.equal(value, state[key]) for key, value in vectors.items())


def test_folding_leaves_plain_convolutions(folded):
    assert not [key for key in folded.state_dict() if key.endswith(("_orig", "_u", "_v"))]
    norms = [name for name, layer in folded.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    assert norms == [f"decoder.layers.{i}.{name}" for i in range(3) for name in ("bn", "conv.2")]


def test_operations_are_counted(name):
    _, _, at256, at512 = NETWORKS[name]
    assert gflops(shapes(name), 256) == pytest.approx(at256, rel=1e-9)
    assert gflops(shapes(name), 512) == pytest.approx(at512, rel=1e-9)


def test_norms_divide_by_what_the_authors_added(name):
    """Too small a matter for the answers to show."""
    for path, layer in shapes(name).named_modules():
        if isinstance(layer, nn.LayerNorm | nn.BatchNorm2d):
            assert layer.eps == (1e-6 if path.startswith("encoder.") else 1e-5), path


@tiny_only
def test_folded_it_answers_the_same(folded, answers):
    apart = np.abs(golden.answer(folded, "a") - answers["a"])
    assert apart.max() <= MOST and apart.mean() <= MEAN


@tiny_only
def test_bfloat16_moves_colors_by_less_than_two_lab_units(folded, answers):
    with torch.autocast("cpu", torch.bfloat16):
        apart = np.abs(golden.answer(folded, "a") - answers["a"])
    assert apart.max() < 2 and 0 < apart.mean() < 0.5


@tiny_only
def test_a_neutral_picture_is_taken_too(folded):
    picture = synthetic.lightness(64, 96, "b")
    with torch.inference_mode():
        from_lightness = folded(torch.from_numpy(picture)[None, None])
        from_gray = folded(torch.from_numpy(synthetic.gray_rgb(picture))[None])
    assert (from_lightness - from_gray).abs().max() <= MOST


@tiny_only
@pytest.mark.parametrize("shape", [(32, 32), (32, 224), (160, 64)])
def test_neighbors_in_a_batch_change_nothing(folded, shape):
    batch = torch.from_numpy(np.stack([synthetic.lightness(*shape, tag) for tag in "bc"]))[:, None]
    with torch.inference_mode():
        together, alone = folded(batch), torch.cat([folded(batch[:1]), folded(batch[1:])])
    assert together.shape == (2, 2, *shape) and (together - alone).abs().max() <= MOST
    assert (together[0] - together[1]).abs().max() > 1


def test_neutral_gray_is_as_exact_as_float32():
    ramp = np.linspace(0, 100, 4096, dtype=np.float32).reshape(64, 64)
    assert np.abs(gray(torch.from_numpy(ramp)).numpy() - synthetic.gray_rgb(ramp)[0]).max() < 3e-7


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 32, 48), "height and width must be multiples of 32"),
        ((1, 3, 16, 32), "height and width must be multiples of 32"),
        ((1, 2, 32, 32), r"lightness must be \(B, 1, H, W\)"),
        ((1, 32, 32), r"lightness must be \(B, 1, H, W\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        shapes("ddcolor-tiny")(torch.zeros(shape, device="meta"))


def test_hints_sizes_and_states_that_do_not_fit_are_refused():
    network = shapes("ddcolor-tiny")
    with pytest.raises(ValueError, match="the ddcolor-tiny architecture takes no color hints"):
        network(torch.zeros(1, 1, 32, 32, device="meta"), torch.zeros(1, 3, 32, 32, device="meta"))
    with pytest.raises(ValueError, match="unknown size 'huge' of ddcolor; known: tiny, large"):
        DDColor("huge")
    state = network.state_dict()
    del state["decoder.layers.0.conv.0.weight_u"]
    with pytest.raises(RuntimeError, match="Missing key.*decoder.layers.0.conv.0.weight_u"):
        network.load_state_dict(state, assign=True)
