"""What networks of other authors answer to made-up inputs with made-up weights (see ``synthetic``).

The answers came from the authors' own programs: a sample of them is kept here, whole ones in a data folder.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import synthetic
import torch
from torch import nn

SIZES = {"a": (256, 256), "a_rect": (256, 320), "a_hints": (256, 256)}
SAMPLES = json.loads((Path(__file__).parent / "models" / "golden.json").read_text())


def answer(network: nn.Module, case: str) -> np.ndarray:
    """ab (2, H, W) of a network for one of the cases."""
    height, width = SIZES[case]
    lightness = torch.from_numpy(synthetic.lightness(height, width, "a"))[None, None]
    hints = torch.from_numpy(synthetic.hints(height, width, "a"))[None] if case == "a_hints" else None
    with torch.inference_mode():
        return network(lightness, hints)[0].float().numpy()


def check(name: str, case: str, ab: np.ndarray, most: float) -> None:
    """Hold an answer to the sample: single values within ``most``."""
    for channel, row, column, wanted in SAMPLES[name][case]:
        assert abs(ab[channel, row, column] - wanted) <= most


def check_whole(data: Path, name: str, case: str, ab: np.ndarray, most: float, mean: float) -> None:
    """Hold an answer to the whole of the authors' one, which lies in the data folder."""
    path = data / "reference" / "checkpoints" / "golden" / f"{name.replace('-', '_')}_{case}.npz"
    apart = np.abs(ab - np.load(path)["ab"])
    assert apart.max() <= most and apart.mean() <= mean


def digest(state: dict[str, torch.Tensor]) -> str:
    """SHA-256 over all values in their order, but for the vectors of spectral norms."""
    found = hashlib.sha256()
    for key, tensor in state.items():
        if not key.endswith(("_u", "_v")):
            found.update(tensor.numpy().tobytes())
    return found.hexdigest()
