"""A model as a row of the table."""

from __future__ import annotations

import time
from statistics import median

import cv2
import numpy as np
from torch import nn

from colorize_core.colorizer import Colorizer
from colorize_core.evaluation.protocol import resize
from colorize_core.evaluation.row import Cost, Row
from colorize_core.models.cost import gflops
from colorize_core.text import visible
from colorize_core.weights import Model

COST_SIDE = 256  # pixels
TIMED = 9  # predictions whose median is the time of one


class Predictor:
    """A model at its own nominal side: lightness is resized to it (area averaging, or bilinear when it grows, as in a
    colorization), and ab comes back by bicubic interpolation.
    """

    def __init__(self, model: Model):
        self.colorizer = Colorizer(model)
        self.side = model.side

    def __call__(self, lightness: np.ndarray) -> np.ndarray:
        small = resize(np.ascontiguousarray(lightness), self.side, cv2.INTER_LINEAR)
        ab = self.colorizer.predict([small])[0][0]
        return resize(ab, lightness.shape[0], cv2.INTER_CUBIC)

    def cost(self) -> Cost:
        """Parameters include frozen ones; the time is of the network alone, at the model's nominal side."""
        network: nn.Module = self.colorizer.network
        lightness = np.random.default_rng(0).uniform(0, 100, (self.side, self.side)).astype(np.float32)
        spans = []
        for _ in range(TIMED + 1):
            began = time.perf_counter()
            self.colorizer.predict([lightness])
            spans.append(time.perf_counter() - began)
        parameters = sum(weight.numel() for weight in network.parameters())
        return Cost(parameters / 1e6, gflops(network, COST_SIDE), 1000 * median(spans[1:]))


def model_rows(models: list[Model], taken: set[str]) -> list[Row]:
    """A row for each model; one whose name is ``taken``, or an earlier model's, has its digest added to it."""
    rows, taken = [], set(taken)
    for model in models:
        predictor = Predictor(model)
        name = visible(model.name)
        name = f"{name}@{model.digest[:8]}" if name in taken else name
        taken.add(name)
        details = {"path": str(model.path), "sha256": model.digest, "architecture": model.architecture,
                   "side": model.side, "training_data_sha256": model.about.get("training_data_sha256")}  # fmt: skip
        about = f"{model.architecture} at {model.side} x {model.side}"
        rows.append(Row(name, about, predictor, predictor.cost(), details))
    return rows
