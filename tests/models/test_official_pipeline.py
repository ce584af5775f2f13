"""The authors' own picture pipelines, made again around our networks: what their programs make of a picture."""

from __future__ import annotations

import golden
import numpy as np
import pytest
import synthetic
import torch
import torch.nn.functional as F
from PIL import Image
from skimage.color import lab2rgb, rgb2lab

from colorize_core.models import build

SIDE = 256


@pytest.fixture(scope="module", params=["eccv16", "siggraph17"])
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def colored(name) -> np.ndarray:
    """Squashed as RGB, lightness by scikit-image, ab enlarged bilinearly under the lightness at full size."""
    network = build(name).eval()
    network.load_state_dict(synthetic.weights(network))
    rgb = synthetic.picture(150, 200, "e2e-a")
    small = np.asarray(Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    full, seen = (rgb2lab(picture)[..., 0].astype(np.float32) for picture in (rgb, small))
    with torch.inference_mode():
        ab = network(torch.from_numpy(seen)[None, None])
    enlarged = F.interpolate(ab, size=full.shape, mode="bilinear", align_corners=False)[0].permute(1, 2, 0).numpy()
    return np.rint(255 * np.clip(lab2rgb(np.dstack([full, enlarged])), 0, 1))


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_pictures_come_out_as_from_the_authors_program(name, colored):
    golden.check(name, "e2e_a", colored.transpose(2, 0, 1), 1)


def test_they_do_so_everywhere(name, colored, data):
    kept = np.load(data / "reference" / "checkpoints" / "golden" / f"{name}_e2e_a.npz")["rgb"]
    assert np.abs(colored - kept).max() <= 1
