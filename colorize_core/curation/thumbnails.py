"""Thumbnails as features see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import simplejpeg

from colorize_core.curation.features import SIDE

BATCH = 64  # pictures at a time


def square(jpeg: bytes) -> np.ndarray:
    """A thumbnail squeezed or stretched to a square: uint8 (SIDE, SIDE, 3), RGB."""
    rgb = simplejpeg.decode_jpeg(jpeg, "RGB")
    shrinking = rgb.shape[0] >= SIDE and rgb.shape[1] >= SIDE
    return cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def squares(jpegs: Sequence[bytes]) -> Iterator[np.ndarray]:
    """Many of them in batches: uint8 (n, SIDE, SIDE, 3)."""
    for at in range(0, len(jpegs), BATCH):
        yield np.stack([square(jpeg) for jpeg in jpegs[at : at + BATCH]])
