"""From a stored photograph to the lightness that is colored, and from ab to the picture that is measured."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg

from colorize_core import color
from colorize_core.training.data import DatasetError, decode

FRAMINGS = {"center-crop": "crop", "direct-resize": "squash"}  # a protocol's name, and the framing of ``decode``


@dataclass(frozen=True)
class Protocol:
    """``center-crop`` takes the centered square of each photograph, ``direct-resize`` squeezes all of it into one.

    Either way the picture is resized to ``side`` x ``side`` pixels, and lightness comes from those very pixels.
    """

    name: str = "center-crop"
    side: int = 256

    def picture(self, thumbnail: bytes, sha256: str = "") -> np.ndarray:
        """(side, side, 3) uint8 sRGB. Raises DatasetError naming ``sha256`` when it cannot be decoded."""
        return decode(thumbnail, self.side, FRAMINGS[self.name], sha256)

    def enlarges(self, thumbnail: bytes, sha256: str = "") -> bool:
        """Whether the photograph is stored with fewer pixels than the protocol asks for. Raises DatasetError."""
        try:
            height, width = simplejpeg.decode_jpeg_header(thumbnail)[:2]
        except ValueError as error:
            raise DatasetError(f"the thumbnail of photograph {sha256} cannot be decoded ({error})") from error
        return min(height, width) < self.side


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """uint8 sRGB (..., 3) to Lab, float32."""
    return color.srgb_to_lab(rgb.astype(np.float32) / 255)


def resize(plane: np.ndarray, side: int, enlarging: int) -> np.ndarray:
    """A square plane at another side: by area averaging when it shrinks, else by ``enlarging``, an OpenCV constant."""
    if plane.shape[0] == side:
        return plane
    shrinks = side < plane.shape[0]
    return cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA if shrinks else enlarging)


def compose(lightness: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Lightness (h, w) in 0..100 and ab (h, w, 2) in Lab units to (h, w, 3) uint8 sRGB, as derivatives are made.

    Where a color leaves sRGB its chroma shrinks at constant lightness and hue (``color.chroma_scale``), and OpenCV
    converts Lab to sRGB. Raises ValueError when a color is not a finite number.
    """
    if not np.isfinite(ab).all():
        raise ValueError("some of the colors are not finite numbers")
    lab = np.dstack([lightness, ab]).astype(np.float32, copy=False)
    safe = color.safe_chroma()[color.gamut_row(lightness)]
    risky = np.nonzero(np.hypot(lab[..., 1], lab[..., 2]) > safe)
    colors = lab[risky]
    colors[:, 1:] *= color.chroma_scale(*colors.T)[:, None]
    lab[risky] = colors
    return cv2.convertScaleAbs(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), alpha=255)
