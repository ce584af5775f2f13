"""The header of a scan: what a file says about its picture before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass


class Rejected(Exception):
    """A scan that cannot be colorized, and never will be as it is: the message says what to do about it.

    ``error_class`` is one of ``empty``, ``not_an_image``, ``unsupported``, ``too_large``, ``truncated``, ``corrupt``,
    ``bad_name``, ``bad_hints``.
    """

    def __init__(self, error_class: str, message: str):
        super().__init__(error_class, message)  # both, so that it survives pickling between processes
        self.error_class = error_class

    def __str__(self) -> str:
        return self.args[1]


@dataclass(frozen=True)
class Limits:
    """What a scan may ask for: pixels of one page, and bytes of the file."""

    pixels: int = 1_000_000_000
    file_bytes: int = 8 << 30


@dataclass(frozen=True)
class Header:
    """What the file says of one page; sizes are as stored, before the orientation is applied."""

    format: str  # JPEG, TIFF, PNG, JPEG2000, WEBP, AVIF, PSD, GIF, BMP
    mode: str  # 1, L, LA, P, RGB, RGBA, CMYK, CMYKA, YCbCr, Lab
    bits: int  # per channel
    width: int
    height: int
    pages: int = 1
    orientation: int = 1  # EXIF/TIFF orientation, 1..8
    icc: bytes | None = None  # embedded profile; None when absent, broken or made for another color model
    icc_name: str | None = None
    dpi: tuple[float, float] | None = None

    @property
    def model(self) -> str:
        """The color model of the pixels: gray, rgb, cmyk or lab."""
        models = {"1": "gray", "L": "gray", "LA": "gray", "CMYK": "cmyk", "CMYKA": "cmyk", "Lab": "lab", "LabA": "lab"}
        return models.get(self.mode, "rgb")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height once the orientation is applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)
