"""A trained model ready for work: lightness in, ab out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from safetensors import safe_open
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from colorize_core.models import build
from colorize_core.models.published import Unavailable
from colorize_core.weights import HALVED, Model, ModelError


def fold(network: nn.Module) -> None:
    """Take the batch norms that follow a convolution in an ``nn.Sequential`` into its weights: the same, but sooner."""
    for part in network.modules():
        names = list(part._modules) if isinstance(part, nn.Sequential) else []
        for name, after in pairwise(names):
            convolution, norm = part._modules[name], part._modules[after]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                part._modules[name], part._modules[after] = fuse_conv_bn_eval(convolution, norm), nn.Identity()


class Colorizer:
    """A network on a device. On a CPU every photo is predicted alone on one thread, so its color never depends on
    its neighbors; elsewhere photos of one shape share a batch.
    """

    def __init__(self, model: Model, device: str = "cpu", precision: str = "float32"):
        """precision: float32, or bfloat16 where the architecture says what that does to colors. Raises ModelError."""
        self.model, self.device = model, torch.device(device)
        try:
            network = build(model.architecture, model.config)
        except (Unavailable, ValueError, TypeError) as error:
            raise ModelError(f"{model.path} cannot be used: {error}") from error
        with safe_open(model.path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        try:
            network.load_state_dict(state, strict=True)
        except RuntimeError as error:
            raise ModelError(f"{model.path} does not fit the {model.architecture} architecture: {error}") from error
        if precision != "float32":
            if model.architecture not in HALVED:
                raise ModelError(f"the {model.architecture} architecture is computed in float32 only")
            network.half_decoder = True  # type: ignore[assignment]
        fold(network.eval())
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.device.type == "cpu":
            torch.set_num_threads(1)

    def predict(self, lightness: Sequence[np.ndarray]) -> list[tuple[np.ndarray, float | None]]:
        """ab (h, w, 2) float32 in Lab units and mean uncertainty in 0..1 for each (h, w) lightness in 0..100.

        The uncertainty is None where the architecture has none.
        """
        batches: dict[tuple, list[int]] = {}
        for i, picture in enumerate(lightness):
            batches.setdefault((i,) if self.device.type == "cpu" else picture.shape, []).append(i)
        answers: dict[int, tuple[np.ndarray, float | None]] = {}
        for members in batches.values():
            stack = torch.from_numpy(np.stack([lightness[i] for i in members]))[:, None]
            stack = stack.contiguous(memory_format=torch.channels_last)
            with torch.inference_mode():
                answer = self.network(stack.to(self.device))
            ab, uncertainty = answer if isinstance(answer, tuple) else (answer, None)
            ab = ab.permute(0, 2, 3, 1).float().cpu().numpy()
            doubts = [None] * len(members) if uncertainty is None else uncertainty.mean((1, 2, 3)).tolist()
            for i, colors, doubt in zip(members, ab, doubts, strict=True):
                answers[i] = np.ascontiguousarray(colors), doubt
        return [answers[i] for i in range(len(lightness))]
