"""Trained models ready for work: lightness in, ab out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from colorize_core.ensemble import Ensemble, sizes, views
from colorize_core.hints import Hints
from colorize_core.models import build
from colorize_core.models.autochrome import Autochrome
from colorize_core.models.ddcolor import DDColor
from colorize_core.models.published import Unavailable
from colorize_core.weights import Model, ModelError, load

DISAGREEMENT = 20.0  # Lab units by which predictions must differ to count as half of no idea


def fold(network: nn.Module) -> None:
    """Take what follows a convolution in an ``nn.Sequential`` as a batch norm, and spectral norms, into its weights."""
    if isinstance(network, DDColor):
        network.fold()
    for part in network.modules():
        names = list(part._modules) if isinstance(part, nn.Sequential) else []
        for name, after in pairwise(names):
            convolution, norm = part._modules[name], part._modules[after]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                part._modules[name], part._modules[after] = fuse_conv_bn_eval(convolution, norm), nn.Identity()


def open_network(model: Model) -> nn.Module:
    """The network of a model with its weights, for evaluation, as it was trained. Raises ModelError."""
    try:
        network = build(model.architecture, model.config)
    except (Unavailable, ValueError, TypeError) as error:
        raise ModelError(f"{model.path} cannot be used: {error}") from error
    try:
        network.load_state_dict(load(model), strict=True)
    except RuntimeError as error:
        raise ModelError(f"{model.path} does not fit the {model.architecture} architecture: {error}") from error
    return network.eval()


@dataclass(frozen=True)
class Prediction:
    """ab (h, w, 2) float32 in Lab units, and uncertainty (h, w) float32, 0 sure to 1 no idea, where there is one."""

    ab: np.ndarray
    uncertainty: np.ndarray | None


class Colorizer:
    """An ensemble on a device. On a CPU every photo is predicted alone on one thread, so its color never depends on
    its neighbors; elsewhere photos of one shape share a batch.
    """

    def __init__(self, ensemble: Ensemble, device: str = "cpu", precision: str = "float32"):
        """precision: float32, or bfloat16 where that is known to leave colors as they are. Raises ModelError."""
        self.device, self.half = torch.device(device), precision != "float32"
        self.flips = (False, True) if "flip" in ensemble.test_time else (False,)
        self.views = views(ensemble.inputs, ensemble.test_time)
        if self.half and ensemble.full_precision_only:
            raise ModelError(f"{', '.join(ensemble.full_precision_only)} can be computed in float32 only")
        self.networks = [self._open(model) for model in ensemble.models]
        self._looks = [
            [self.views.index(view) for view in sizes(wanted, ensemble.test_time)] for wanted in ensemble.inputs
        ]
        if self.device.type == "cpu":
            torch.set_num_threads(1)

    def _open(self, model: Model) -> nn.Module:
        network = open_network(model)
        if isinstance(network, Autochrome):
            network.half_decoder = self.half
        fold(network)
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict(
        self, lightness: Sequence[Sequence[np.ndarray]], hints: Sequence[Hints | None] | None = None
    ) -> list[Prediction]:
        """What becomes of each photo: lightness in 0..100, (h, w) float32 for every one of ``views``, in their order.

        hints: for each photo; networks that take some are given them, others never see them. With more than one look
        at a photo, the ab is their mean, at the size of the largest.
        """
        given: list[Hints | None] = [None] * len(lightness) if hints is None else list(hints)
        looks: list[list[tuple[Tensor, Tensor | None]]] = [[] for _ in lightness]
        with torch.inference_mode():
            for network, places in zip(self.networks, self._looks, strict=True):
                for place in places:
                    pictures = [photo[place] for photo in lightness]
                    for flip in self.flips:
                        for answers, answer in zip(looks, self._look(network, pictures, given, flip), strict=True):
                            answers.append(answer)
            return [_average(answers) for answers in looks]

    def _look(
        self, network: nn.Module, pictures: list[np.ndarray], hints: list[Hints | None], flip: bool
    ) -> list[tuple[Tensor, Tensor | None]]:
        """ab (2, h, w) and uncertainty (1, h, w) of each picture, on the CPU."""
        takes_hints = getattr(network, "takes_hints", False)
        batches: dict[tuple, list[int]] = {}
        for i, picture in enumerate(pictures):
            batches.setdefault((i,) if self.device.type == "cpu" else picture.shape, []).append(i)
        answers: dict[int, tuple[Tensor, Tensor | None]] = {}
        for members in batches.values():
            height, width = pictures[members[0]].shape
            seen = self._on_device([pictures[i][None] for i in members], flip)
            drawn = None
            if takes_hints and any(hints[i] for i in members):
                empty = np.zeros((3, height, width), np.float32)
                planes = [empty if mine is None else mine.draw(width, height).transpose(2, 0, 1)
                          for mine in (hints[i] for i in members)]  # fmt: skip
                drawn = self._on_device(planes, flip)
            for i, answer in zip(members, self._forward(network, seen, drawn, flip), strict=True):
                answers[i] = answer
        return [answers[i] for i in range(len(pictures))]

    def _on_device(self, pictures: Sequence[np.ndarray], flip: bool) -> Tensor:
        stack = torch.from_numpy(np.stack(pictures)).to(self.device)
        return (stack.flip(-1) if flip else stack).contiguous(memory_format=torch.channels_last)

    def _forward(
        self, network: nn.Module, seen: Tensor, hints: Tensor | None, flip: bool
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        ask = getattr(network, "with_uncertainty", network)
        whole = self.half and not isinstance(network, Autochrome)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=whole):
            answer = ask(seen, hints)
        planes = answer if isinstance(answer, tuple) else (answer,)
        ab, *uncertainty = ((plane.flip(-1) if flip else plane).float().cpu() for plane in planes)
        return zip(ab, *uncertainty or [itertools.repeat(None, len(ab))], strict=True)


def _average(looks: list[tuple[Tensor, Tensor | None]]) -> Prediction:
    """The mean of several looks. Their uncertainty is that of the networks, raised by how far they disagree.

    With e the mean of the uncertainties that networks tell, and d the distance of the predictions from their mean
    (root mean square, in Lab units), it is 1 - (1 - e) / (1 + d / DISAGREEMENT).
    """
    if len(looks) == 1:
        ab, told = looks[0]
        return Prediction(_to_numpy(ab), None if told is None else told[0].numpy())
    size = max((tuple(ab.shape[1:]) for ab, _ in looks), key=math.prod)
    colors = torch.stack([_enlarge(ab, size, "bicubic") for ab, _ in looks])
    mean = colors.mean(0)
    apart = (colors - mean).square().sum(1).mean(0).sqrt()
    sure = 1 / (1 + apart / DISAGREEMENT)
    if known := [_enlarge(told, size, "bilinear")[0] for _, told in looks if told is not None]:
        sure = sure * (1 - torch.stack(known).mean(0))
    return Prediction(_to_numpy(mean), (1 - sure).numpy())


def _enlarge(planes: Tensor, size: tuple[int, ...], mode: str) -> Tensor:
    """Planes (C, h, w) at another size, pixel centers aligned."""
    if planes.shape[1:] == size:
        return planes
    return F.interpolate(planes[None], size=size, mode=mode, align_corners=False)[0]


def _to_numpy(ab: Tensor) -> np.ndarray:
    return np.ascontiguousarray(ab.permute(1, 2, 0).numpy())
