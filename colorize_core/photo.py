"""A photo: a scan opened safely, as the lightness the eye sees and a hint of its color.

Lightness is the L of CIELAB. A gray scan keeps its stored codes, and a table says the L of each: nothing is rounded. A
color scan is reduced to L in 65536 steps. Codes mean what the embedded ICC profile says; without one, gray and RGB are
sRGB and CMYK is multiplied out (light = (1 - ink) * (1 - black), read as sRGB). A profile that is broken or made for
another color model is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from colorize_core import color, formats, icc, kernels
from colorize_core.header import Header, Limits, Rejected
from colorize_core.raster import Raster, strips
from colorize_core.shrink import area_average, average_lightness

__all__ = ["Header", "Limits", "Photo", "Rejected", "open_photo", "read_header"]

DEFAULTS = Limits()
SPARSEST = 10_000  # pixels per byte of file: no photograph comes near, deflate at its best packs 8,256 bilevel ones
SPARSE_FROM = 64_000_000  # pixels
SMALL = 256  # long side of the copy that tells the tone and serves as thumbnail
LIGHT_STEPS = 1 << 18  # steps of Y; the coarsest, at black, is 0.0035 of L
LUMINANCE = np.array(color.XYZ_FROM_RGB[1])


@dataclass
class Photo:
    """One page of a scan, orientation applied.

    codes: (H, W) uint8 or uint16, possibly read-only and mapped from the file.
    lut:   float32 (256,) or (65536,): L in 0..100 of each code.
    alpha: (H, W) uint8 or uint16, full range; None when opaque.
    bits:  8 or 16, the depth a result should have.
    ab:    (h, w, 2) float32, Lab a and b of a copy of at most 256 pixels; None for gray.
    """

    header: Header
    codes: np.ndarray
    lut: np.ndarray
    alpha: np.ndarray | None
    bits: int
    ab: np.ndarray | None

    @property
    def height(self) -> int:
        return self.codes.shape[0]

    @property
    def width(self) -> int:
        return self.codes.shape[1]

    def lightness(self, rows: slice = slice(None)) -> np.ndarray:
        """L in 0..100 of some rows: float32 (n, W)."""
        return self.lut[self.codes[rows]]

    def small_lab(self) -> np.ndarray:
        """Lab of a copy of at most 256 pixels, shrunk by area averaging: float32 (h, w, 3). Gray has a and b of 0."""
        height, width = small_size(self.height, self.width) if self.ab is None else self.ab.shape[:2]
        lightness = average_lightness(self.codes, self.lut, width, height)
        return np.dstack([lightness, np.zeros((height, width, 2), np.float32) if self.ab is None else self.ab])

    def tone(self) -> color.Tone:
        """What the colors say the photo is a scan of."""
        return color.Tone.NEUTRAL if self.ab is None else color.classify_tone(self.small_lab())


def small_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the small copy of a picture: the long side is at most SMALL, and never enlarged."""
    scale = min(1, SMALL / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def read_header(path: Path, limits: Limits = DEFAULTS, page: int = 0) -> Header:
    """What the file says of a page, found by content; decodes no pixels.

    Raises :class:`Rejected`, and OSError when the file cannot be read at all.
    """
    path = Path(path)
    size = path.stat().st_size
    if size == 0:
        raise Rejected("empty", "the file is empty: get a complete copy")
    if size > limits.file_bytes:
        raise Rejected("too_large", f"the file has {size:,} bytes, the limit is {limits.file_bytes:,}: raise the limit")
    name = formats.sniff(path)
    with _library_errors(name):
        header = formats.reader(name).header(path, page)
    pixels = header.width * header.height
    if pixels <= 0:
        raise Rejected("corrupt", f"a picture of {header.width} x {header.height} pixels: export the photo again")
    if pixels > limits.pixels:
        raise Rejected(
            "too_large",
            f"{header.width:,} x {header.height:,} pixels are more than the limit of {limits.pixels:,}: "
            "raise --max-pixels and add --retry-failed, or scale the scan down",
        )
    if pixels > max(SPARSE_FROM, SPARSEST * size):
        raise Rejected("corrupt", f"{size:,} bytes cannot hold {pixels:,} pixels of a photograph: get a good copy")
    return header


def open_photo(path: Path, limits: Limits = DEFAULTS, page: int = 0) -> Photo:
    """Decode a page, never with filler for what is missing.

    Raises :class:`Rejected`, MemoryError, and OSError when the file cannot be read at all.
    """
    path = Path(path)
    header = read_header(path, limits, page)
    with _library_errors(header.format):
        raster = formats.reader(header.format).decode(path, header, page)
        if raster.samples.shape[:2] != (header.height, header.width):
            raise Rejected("corrupt", "the picture has another size than its header says: export the photo again")
        codes, lut, ab = _lightness(raster, header.icc)
        alpha = raster.alpha
        if alpha is not None and alpha.min() == np.iinfo(alpha.dtype).max:
            alpha = None
        return Photo(
            header,
            codes=_upright(codes, header.orientation),
            lut=lut,
            alpha=None if alpha is None else _upright(alpha, header.orientation),
            bits=8 if raster.peak <= 255 else 16,
            ab=None if ab is None else _upright(ab, header.orientation),
        )


class _library_errors:
    """Turns whatever a decoder raises into :class:`Rejected`; out of memory stays what it is."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        if error is None or isinstance(error, (Rejected, MemoryError)) or not isinstance(error, Exception):
            return
        said = str(error)
        if not said.isprintable() or not said.isascii() or len(said) < 4:
            said = type(error).__name__
        short = any(word in said.lower() for word in ("truncated", "too small", "unexpected end"))
        raise Rejected(
            "truncated" if short else "corrupt",
            f"the {self.name} cannot be decoded ({said[:200]}): get a good copy of the file",
        ) from error


def _upright(plane: np.ndarray, orientation: int) -> np.ndarray:
    """The plane as it is meant to be seen, contiguous; not copied when it already is."""
    if orientation >= 5:
        plane = plane.swapaxes(0, 1)
    flip_rows, flip_columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    plane = plane[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return plane if plane.flags.c_contiguous else np.ascontiguousarray(plane)


def _lightness(raster: Raster, profile: bytes | None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Codes, the L of each code, and the small ab."""
    samples = raster.samples
    if raster.model == "gray":
        return samples, _code_lightness(raster, profile), None
    if raster.model == "rgb" and _is_neutral(samples):
        return np.ascontiguousarray(samples[..., 0]), _code_lightness(raster, profile), None
    if raster.model == "lab":
        table = np.arange(np.iinfo(samples.dtype).max + 1) * (100 / raster.peak)
        return np.ascontiguousarray(samples[..., 0]), np.minimum(table, 100).astype(np.float32), _small_ab(raster, None)
    ab = _small_ab(raster, profile)
    lut = np.arange(65536, dtype=np.float32) * np.float32(100 / 65535)
    return _luminance_codes(raster, profile), lut, ab


def _is_neutral(samples: np.ndarray) -> bool:
    return kernels.is_neutral(np.ascontiguousarray(samples))


def _ramp(raster: Raster) -> np.ndarray:
    """What every code of the raster means: light or ink in 0..1, float64 (256,) or (65536,)."""
    unit = np.minimum(np.arange(np.iinfo(raster.samples.dtype).max + 1) / raster.peak, 1)
    return 1 - unit if raster.inverted else unit


def _code_lightness(raster: Raster, profile: bytes | None) -> np.ndarray:
    """L of every code of a gray raster, or of an RGB one whose channels are equal: float32."""
    ramp = _ramp(raster)
    if profile is None:
        return color.gray_to_lightness(ramp).astype(np.float32)
    codes = np.round(ramp * 65535).astype(np.uint16)
    linear = icc.to_linear(codes if raster.model == "gray" else np.stack([codes] * 3, -1), profile)
    return _luminance_to_lightness(linear @ LUMINANCE).astype(np.float32)


def _luminance_to_lightness(y: np.ndarray) -> np.ndarray:
    y = np.clip(y, 0, 1)
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.292 * y)


def _to_linear(samples: np.ndarray, raster: Raster, profile: bytes | None) -> np.ndarray:
    """Samples of the raster's kind to linear sRGB light, float (..., 3)."""
    unit = _ramp(raster)[samples]
    if profile is not None:
        return icc.to_linear(np.round(unit * 65535).astype(np.uint16), profile)
    if raster.model == "cmyk":
        unit = (1 - unit[..., :3]) * (1 - unit[..., 3:])
    return color.srgb_to_linear(unit)


@cache
def _lightness_codes() -> np.ndarray:
    """L in 0..65535 of every step of luminance: uint16 (LIGHT_STEPS,)."""
    return np.round(_luminance_to_lightness(np.arange(LIGHT_STEPS) / (LIGHT_STEPS - 1)) * 655.35).astype(np.uint16)


def _luminance_codes(raster: Raster, profile: bytes | None) -> np.ndarray:
    """L of an rgb or cmyk raster in 0..65535: (H, W) uint16."""
    samples = raster.samples
    codes = np.empty(samples.shape[:2], np.uint16)
    table = _lightness_codes()
    shares = _channel_luminance(raster, profile) if raster.model == "rgb" else None
    for rows in strips(samples.shape):
        if shares is not None:
            kernels.weigh_channels(np.ascontiguousarray(samples[rows]), shares, table, codes[rows])
            continue
        y = np.round(_to_linear(samples[rows], raster, profile) @ LUMINANCE * (LIGHT_STEPS - 1)).astype(np.int32)
        codes[rows] = table[np.clip(y, 0, LIGHT_STEPS - 1, out=y)]
    return codes


def _channel_luminance(raster: Raster, profile: bytes | None) -> np.ndarray | None:
    """Each channel's share of Y for every code, in LIGHT_STEPS: int32 (3, codes).

    Without a profile, and with one made of curves and a matrix, Y is a sum over the channels. None when it is not.
    """
    ramp = _ramp(raster)
    if profile is None:
        shares = LUMINANCE[:, None] * color.srgb_to_linear(ramp)
    else:
        codes = np.round(ramp * 65535).astype(np.uint16)
        alone = np.zeros((3, len(codes), 3), np.uint16)
        for channel in range(3):
            alone[channel, :, channel] = codes
        dark = float(icc.to_linear(np.zeros((1, 3), np.uint16), profile)[0] @ LUMINANCE)
        shares = icc.to_linear(alone, profile) @ LUMINANCE - dark * 2 / 3
        probe = np.random.default_rng(0).integers(0, len(ramp), (512, 3))
        together = _to_linear(probe, raster, profile) @ LUMINANCE
        if np.abs(sum(shares[channel][probe[:, channel]] for channel in range(3)) - together).max() > 2e-4:
            return None
    return np.round(shares * (LIGHT_STEPS - 1)).astype(np.int32)


def _small_ab(raster: Raster, profile: bytes | None) -> np.ndarray:
    """Lab a and b of the picture shrunk by area averaging to at most SMALL pixels: float32 (h, w, 2)."""
    height, width = small_size(*raster.samples.shape[:2])
    small = np.rint(area_average(raster.samples, width, height)).astype(raster.samples.dtype)
    if raster.model == "lab":
        half = 1 << (raster.samples.dtype.itemsize * 8 - 1)
        return (small[..., 1:].astype(np.float32) - half) / (half // 128)
    return _linear_to_lab(_to_linear(small, raster, profile))[..., 1:].astype(np.float32)


def _linear_to_lab(linear: np.ndarray) -> np.ndarray:
    return color.srgb_to_lab(color.linear_to_srgb(np.clip(linear, 0, None)))
