"""How alike two color pictures of one photo are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from colorize_core.color import delta_e2000, srgb_to_lab

STRIP_PIXELS = 1 << 18
BINS, LARGEST = 4000, 40.0  # of the histogram that the percentile is read from
BOUND = 0.5  # mean difference up to which two pictures are the same


def difference(ours: Path, theirs: Path) -> tuple[float, float]:
    """CIEDE2000 between two pictures at full size: the mean and the 99th percentile.

    Raises ValueError where their sizes differ.
    """
    pictures = []
    for path in (ours, theirs):
        with Image.open(path) as image:
            pictures.append(np.array(image.convert("RGB")))
    a, b = pictures
    if a.shape != b.shape:
        raise ValueError(f"{ours} and {theirs} differ in size")
    histogram, total = torch.zeros(BINS), 0.0
    rows = max(1, STRIP_PIXELS // a.shape[1])
    for top in range(0, len(a), rows):
        one, other = (srgb_to_lab(torch.from_numpy(p[top : top + rows]).float() / 255) for p in (a, b))
        apart = delta_e2000(one, other)
        total += float(apart.double().sum())
        histogram += torch.histc(apart.clamp(max=LARGEST), BINS, 0, LARGEST)
    share = torch.cumsum(histogram.double(), 0) / histogram.sum()
    return total / (a.shape[0] * a.shape[1]), (int(torch.searchsorted(share, 0.99)) + 1) * LARGEST / BINS
