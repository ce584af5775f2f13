"""The arithmetic of colorizing as scripts do it: Pillow reads and writes, scikit-image converts, OpenCV shrinks."""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from skimage.util import img_as_float32

from colorize_core.colorizer import Colorizer
from colorize_core.ensemble import Ensemble
from colorize_core.inputs import Input
from colorize_core.weights import DEFAULT, find

CORES = len(os.sched_getaffinity(0))
Image.MAX_IMAGE_PIXELS = None  # a scan of 100 megapixels is no attack
warnings.filterwarnings("ignore", message=".*negative Z values.*")


def load_network(*threads: int) -> tuple[torch.nn.Module, int]:
    """The default model and the side of its input. Of the numbers of threads given, the fastest here is set."""
    model = find(DEFAULT)
    (network,), side = Colorizer(Ensemble((model,))).networks, model.input.side
    picture = torch.zeros(1, 1, side, side)
    seconds = {}
    for count in threads:
        torch.set_num_threads(count)
        predict(network, picture)
        began = time.perf_counter()
        predict(network, picture)
        seconds[count] = time.perf_counter() - began
    torch.set_num_threads(min(threads, key=lambda count: seconds[count]))
    return network, side


def scans(folder: str) -> list[Path]:
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def read(path: Path) -> np.ndarray:
    """A picture as (H, W, 3) float32 in 0..1."""
    with Image.open(path) as image:
        if image.mode.startswith("I;16"):
            gray = img_as_float32(np.asarray(image))
            return np.stack([gray] * 3, -1)
        return img_as_float32(np.asarray(image.convert("RGB")))


def lightness(rgb: np.ndarray) -> np.ndarray:
    """L in 0..100, (H, W) float32."""
    return rgb2lab(rgb)[..., 0]


def shrink(rgb: np.ndarray, side: int) -> torch.Tensor:
    """The model's input, (1, 1, h, w): the lightness of a small copy."""
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, Input(side).size(width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(lightness(small))[None, None]


@torch.inference_mode()
def predict(network: torch.nn.Module, small: torch.Tensor) -> torch.Tensor:
    """ab of the model, (1, 2, h, w)."""
    answer = network(small)
    return answer[0] if isinstance(answer, tuple) else answer


def recombine(lightness: np.ndarray, ab: torch.Tensor) -> np.ndarray:
    """L at full size and ab brought to it, as (H, W, 3) uint8."""
    wide = torch.nn.functional.interpolate(ab, lightness.shape, mode="bicubic", align_corners=False)
    lab = np.dstack([lightness, wide[0].permute(1, 2, 0).numpy()])
    return np.rint(lab2rgb(lab) * 255).astype(np.uint8)


def save(rgb: np.ndarray, path: Path) -> None:
    """A JPEG like those of the job: quality 92, color at full resolution."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path, quality=92, subsampling=0)


def in_and_out() -> tuple[str, Path]:
    """The two arguments of a script: the folder of scans and the one for results."""
    if len(sys.argv) != 3:
        sys.exit(f"usage: python -m benchmark.{Path(sys.argv[0]).stem} IN OUT")
    return sys.argv[1], Path(sys.argv[2])
