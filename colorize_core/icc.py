"""ICC profiles: from the codes of a scan to linear sRGB light."""

from __future__ import annotations

import io
from functools import cache

import imagecodecs
import numpy as np
from PIL import ImageCms

SPACES = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk"}


@cache
def linear_srgb() -> bytes:
    """A profile with sRGB's primaries and white, and no transfer curve."""
    primaries = (0.64, 0.33, 1, 0.30, 0.60, 1, 0.15, 0.06, 1)
    return imagecodecs.cms_profile("rgb", whitepoint=(0.3127, 0.3290, 1), primaries=primaries, gamma=1.0)


def to_linear(codes: np.ndarray, profile: bytes) -> np.ndarray:
    """Codes to linear sRGB light as float32 (..., 3): white is 1, colors outside sRGB leave 0..1.

    ``codes`` are full-range uint8 or uint16: (...) for a gray profile, (..., 3) for RGB, (..., 4) for CMYK, 0 being no
    ink. Relative colorimetric with black point compensation: paper is white and the darkest ink black. Raises an
    exception of the color engine when the profile cannot be used.
    """
    space = SPACES[profile[16:20]]
    channels = {"gray": 1, "rgb": 3, "cmyk": 4}[space]
    flat = np.ascontiguousarray(codes).reshape((1, -1) if channels == 1 else (1, -1, channels))
    linear = imagecodecs.cms_transform(
        flat,
        profile,
        linear_srgb(),
        colorspace=space,
        outcolorspace="rgb",
        outdtype="float32",
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION | imagecodecs.CMS.FLAGS.NOCACHE,
    )
    return linear.reshape(*(codes.shape if channels == 1 else codes.shape[:-1]), 3)


def usable(profile: bytes | None, model: str) -> tuple[bytes, str] | tuple[None, None]:
    """The profile and its name, or (None, None) when it is absent, broken or made for another color model."""
    if not profile or len(profile) < 128 or profile[36:40] != b"acsp" or SPACES.get(profile[16:20]) != model:
        return None, None
    try:
        probe = np.zeros({"gray": (2,), "rgb": (2, 3), "cmyk": (2, 4)}[model], np.uint8)
        probe[1] = 0 if model == "cmyk" else 255
        white = to_linear(probe, profile)[1]
        if not np.isfinite(white).all() or not 0.5 < white[1] < 1.5:  # a profile whose white is not white
            return None, None
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    except Exception:  # the engine raises many kinds, and none of them is a reason to lose the photo
        return None, None
    return profile, name.split("\x00")[0] or "unnamed"
