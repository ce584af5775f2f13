"""A trained model ready for work: lightness in, ab out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from colorize_core.models import build

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT = "autochrome-s"


class ModelError(Exception):
    """The weights cannot be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Model:
    """What a weights file says of itself, read without loading it."""

    path: Path
    name: str
    architecture: str
    config: dict
    side: int
    digest: str
    about: dict


def find(name: str) -> Model:
    """The model of a name shipped with the package, or of a path to a safetensors file. Raises ModelError."""
    path = Path(name) if name.endswith(".safetensors") else WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in WEIGHTS.glob("*.safetensors")))
        raise ModelError(f"no weights at {path}; give a path to a .safetensors file or one of: {known}")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file ({error}); was it downloaded whole?") from error
    try:
        architecture, config, side = about["architecture"], json.loads(about["config"]), int(about["side"])
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path} lacks metadata of ours ({error}); convert it, or use another file") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Model(path, about.get("name", path.stem), architecture, config, side, digest, about)


class Colorizer:
    """A network on a device. On a CPU every photo is predicted alone on one thread, so its color never depends on
    its neighbors; elsewhere photos of one shape share a batch.
    """

    def __init__(self, model: Model, device: str = "cpu"):
        self.model, self.device = model, torch.device(device)
        network = build(model.architecture, model.config)
        with safe_open(model.path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        try:
            network.load_state_dict(state, strict=True)
        except RuntimeError as error:
            raise ModelError(f"{model.path} does not fit the {model.architecture} architecture: {error}") from error
        self.network = network.eval().to(self.device)
        if self.device.type == "cpu":
            torch.set_num_threads(1)

    def predict(self, lightness: Sequence[np.ndarray]) -> list[tuple[np.ndarray, float]]:
        """ab (h, w, 2) float32 in Lab units and mean uncertainty in 0..1 for each (h, w) lightness in 0..100."""
        batches: dict[tuple, list[int]] = {}
        for i, picture in enumerate(lightness):
            batches.setdefault((i,) if self.device.type == "cpu" else picture.shape, []).append(i)
        answers: dict[int, tuple[np.ndarray, float]] = {}
        for members in batches.values():
            stack = torch.from_numpy(np.stack([lightness[i] for i in members]))[:, None]
            with torch.inference_mode():
                ab, uncertainty = self.network(stack.to(self.device))
            ab = ab.permute(0, 2, 3, 1).float().cpu().numpy()
            for i, colors, doubt in zip(members, ab, uncertainty.mean((1, 2, 3)).tolist(), strict=True):
                answers[i] = np.ascontiguousarray(colors), doubt
        return [answers[i] for i in range(len(lightness))]
