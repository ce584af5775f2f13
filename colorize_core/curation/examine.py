"""What a photograph shows of itself: facts, a thumbnail, hashes, and whether it is fit to learn colors from.

An examiner lives inside a sandbox; paths go in and findings come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from colorize_core import color
from colorize_core.photo import Limits, Photo, open_photo

GENERATION = 1  # raised when what examination finds changes
QUALITY = 92  # of the thumbnail's JPEG
FLAT = 10  # levels that a frame's pixels may stray from its color
FLAT_SHARE = 0.95  # of a frame's row that does not stray
STEP = 20  # levels between a frame and the picture behind it
STEP_SHARE = 0.75  # of a frame's length along which there is such a step
DEEPEST = 0.3  # of a side: a plain sky or backdrop goes further than a frame
BLUR = 3  # rows between a frame and the picture, at the thumbnail's size


@dataclass(frozen=True)
class Rules:
    """What a photograph must be: pixels of its shorter side, and the share of its area that a frame may take."""

    min_side: int = 100
    max_border: float = 0.02


@dataclass(frozen=True)
class Findings:
    """What was found: sizes in pixels, upright; ``tone`` neutral, toned or color; and why it is unfit, if it is.

    thumbnail: an sRGB JPEG, long side at most 256, never enlarged.
    dhash:     64 bits; bit ``8 * row + column`` from the top tells that lightness falls from a cell to the next.
    signature: 192 bytes, 8 x 8 RGB8: the mean colors of the same picture.
    reason:    None when fit, else tiny, grayscale, toned or bordered, the first that holds; ``message`` has the figure.
    """

    width: int
    height: int
    format: str
    tone: str
    thumbnail: bytes
    dhash: int
    signature: bytes
    reason: str | None
    message: str | None


class Examiner:
    """Examines one file at a time; holds nothing in between."""

    def __init__(self, limits: Limits, rules: Rules):
        cv2.setNumThreads(1)
        self.limits, self.rules = limits, rules

    def examine(self, path: Path) -> Findings:
        """Decode the first page and look at a small copy of it. Raises Rejected."""
        photo = open_photo(path, self.limits)
        rgb = thumbnail(photo)
        tone = photo.tone()
        reason, message = self._judge(photo, tone, rgb)
        return Findings(
            photo.width,
            photo.height,
            photo.header.format,
            tone.value,
            simplejpeg.encode_jpeg(rgb, QUALITY, "RGB", "444"),
            difference_hash(rgb),
            cv2.resize(rgb, (8, 8), interpolation=cv2.INTER_AREA).tobytes(),
            reason,
            message,
        )

    def _judge(self, photo: Photo, tone: color.Tone, rgb: np.ndarray) -> tuple[str | None, str | None]:
        side = min(photo.height, photo.width)
        if side < self.rules.min_side:
            return "tiny", f"the shorter side has {side} pixels, fewer than {self.rules.min_side}"
        if tone is color.Tone.NEUTRAL:
            return "grayscale", f"no color: chroma is {_chroma(photo):.1f} at its 95th percentile"
        if tone is color.Tone.TONED:
            return (
                "toned",
                f"one hue that follows lightness: chroma reaches {_chroma(photo):.1f} at its 95th percentile",
            )
        share = border_share(rgb)
        if share > self.rules.max_border:
            return "bordered", f"a frame takes {share:.1%} of the picture, more than {self.rules.max_border:.1%}"
        return None, None


def thumbnail(photo: Photo) -> np.ndarray:
    """The small copy as sRGB: uint8 (h, w, 3), alpha ignored."""
    return np.round(color.lab_to_srgb(photo.small_lab()) * 255).astype(np.uint8)


def difference_hash(rgb: np.ndarray) -> int:
    """Where lightness falls from left to right in a 9 x 8 copy of the picture, as 64 bits."""
    gray = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(gray[:, 1:] < gray[:, :-1]).tobytes(), "big")


def border_share(rgb: np.ndarray) -> float:
    """The share of a small picture, uint8 (h, w, 3), that lies in a frame: scanner bed, mat, letterbox, film edge.

    A frame is rows or columns of one flat color along a side that end in a straight step to the picture, over most of
    their length. Skies, snow and backdrops have no such step; night shots have no flat rows, or reach too deep. Frames
    inside frames are found from outside in.
    """
    inside = rgb.astype(np.int16)
    while min(inside.shape[:2]) > 8:
        flat = [_flat_depth(_turned(inside, side)) for side in range(4)]
        depths = [_frame_depth(_turned(inside, side), flat, side) for side in range(4)]
        if not any(depths):
            break
        top, right, bottom, left = depths
        inside = inside[top : inside.shape[0] - bottom, left : inside.shape[1] - right]
    return 1 - inside.shape[0] * inside.shape[1] / (rgb.shape[0] * rgb.shape[1])


def _turned(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture turned so that its top is the side: 0 top, 1 right, 2 bottom, 3 left."""
    return np.rot90(picture, side)


def _distance(picture: np.ndarray, rows: slice) -> np.ndarray:
    """How many levels the pixels of some rows are from the color of the first one: (n, w)."""
    return np.abs(picture[rows] - np.median(picture[0], axis=0).astype(np.int16)).max(-1)


def _flat_depth(picture: np.ndarray) -> int:
    """How many of the first rows have one and the same color; 0 when they reach too deep for a frame."""
    deepest = int(len(picture) * DEEPEST)
    flat = (_distance(picture, slice(deepest + 1)) <= FLAT).mean(1) >= FLAT_SHARE
    depth = int(flat.argmin())
    return 0 if flat.all() else depth


def _frame_depth(picture: np.ndarray, flat: list[int], side: int) -> int:
    """How many of the first rows are a frame: the flat ones, if a step follows between the frames of both ends."""
    depth = flat[side]
    if depth == 0:
        return 0
    before, after = flat[(side + 3) % 4], flat[(side + 1) % 4]
    behind = _distance(picture, slice(depth, depth + BLUR))[:, before : picture.shape[1] - after]
    return depth if (behind > STEP).mean(1).max() >= STEP_SHARE else 0


def _chroma(photo: Photo) -> float:
    return 0.0 if photo.ab is None else float(np.percentile(np.hypot(photo.ab[..., 0], photo.ab[..., 1]), 95))
