"""An ensemble as a row of the table."""

from __future__ import annotations

import time
from statistics import median

import cv2
import numpy as np

from colorize_core.colorizer import Colorizer
from colorize_core.ensemble import Ensemble
from colorize_core.evaluation.protocol import resize
from colorize_core.evaluation.row import Cost, Row
from colorize_core.models.cost import gflops
from colorize_core.models.onnx_graph import OnnxGraph
from colorize_core.text import visible

COST_SIDE = 256  # pixels
TIMED = 9  # predictions whose median is the time of one


class Predictor:
    """An ensemble at its own nominal sides: lightness is resized to them (area averaging, or bilinear when it grows, as
    in a colorization), and ab comes back by bicubic interpolation.
    """

    def __init__(self, ensemble: Ensemble):
        self.colorizer = Colorizer(ensemble)

    def __call__(self, lightness: np.ndarray) -> tuple[np.ndarray, float | None]:
        square = np.ascontiguousarray(lightness)
        seen = [resize(square, view.side, cv2.INTER_LINEAR) for view in self.colorizer.views]
        (prediction,) = self.colorizer.predict([seen])
        uncertainty = prediction.uncertainty
        ab = resize(prediction.ab, lightness.shape[0], cv2.INTER_CUBIC)
        return ab, None if uncertainty is None else float(uncertainty.mean())

    def cost(self) -> Cost:
        """Parameters include frozen ones; the time is of the networks alone, for all looks at a photograph."""
        views, networks = self.colorizer.views, self.colorizer.networks
        noise = np.random.default_rng(0)
        seen = [noise.uniform(0, 100, (view.side, view.side)).astype(np.float32) for view in views]
        spans = []
        for _ in range(TIMED + 1):
            began = time.perf_counter()
            self.colorizer.predict([seen])
            spans.append(time.perf_counter() - began)
        ms = 1000 * median(spans[1:])
        if any(isinstance(network, OnnxGraph) for network in networks):
            return Cost(None, None, ms)
        parameters = sum(weight.numel() for network in networks for weight in network.parameters())
        return Cost(parameters / 1e6, sum(gflops(network, COST_SIDE) for network in networks), ms)


def model_rows(ensembles: list[Ensemble], taken: set[str]) -> list[Row]:
    """A row for each ensemble; one whose name is ``taken``, or an earlier one's, has its digest added to it."""
    rows, taken = [], set(taken)
    for ensemble in ensembles:
        predictor = Predictor(ensemble)
        name = visible(ensemble.name)
        name = f"{name}@{ensemble.digest[:8]}" if name in taken else name
        taken.add(name)
        models = ensemble.models
        details = {"path": " + ".join(str(model.path) for model in models), "sha256": ensemble.digest,
                   "architecture": " + ".join(model.architecture for model in models),
                   "side": [model.input.side for model in models], "test_time": list(ensemble.test_time),
                   "training_data_sha256": [model.about.get("training_data_sha256") for model in models]}  # fmt: skip
        about = " + ".join(f"{model.architecture} at {model.input.side} x {model.input.side}" for model in models)
        about += f", test time {', '.join(ensemble.test_time)}" if ensemble.test_time else ""
        rows.append(Row(name, about, predictor, predictor.cost(), details))
    return rows
