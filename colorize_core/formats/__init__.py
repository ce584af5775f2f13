"""Image formats, told apart by the first bytes of a file and never by its name.

Every module here offers ``header(path, page) -> Header``, which decodes no pixels, and ``decode(path, header, page) ->
Raster``, which decodes all of them or raises. Both may raise :class:`Rejected`, and anything their library raises.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from colorize_core.formats import jpeg, pillow, png, psd, tiff
from colorize_core.header import Rejected

MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8", "JPEG"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    (8, b"WEBP", "WEBP"),
    (0, b"8BPS", "PSD"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"BM", "BMP"),
)
FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"icns", "ICNS"),
    (0, b"\x01\xda", "SGI"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"FUJIFILMCCD-RAW", "camera raw"),
)
READERS: dict[str, ModuleType] = {"JPEG": jpeg, "TIFF": tiff, "PNG": png, "PSD": psd}
OPEN = "TIFF, JPEG, PNG, JPEG 2000, WebP, AVIF, PSD, GIF and BMP"


def sniff(path: Path) -> str:
    """The format of a file by its first bytes. Raises :class:`Rejected` for what is no image or none we open."""
    with open(path, "rb") as file:
        start = file.read(64)
    if start[4:8] == b"ftyp" and b"avif" in start[8 : int.from_bytes(start[:4], "big")]:
        return "AVIF"
    for table in MAGIC, FOREIGN:
        for offset, magic, name in table:
            if start[offset : offset + len(magic)] == magic:
                if table is MAGIC:
                    return name
                raise Rejected("unsupported", f"{name} files are not opened: convert the scan to one of {OPEN}")
    raise Rejected("not_an_image", f"the content is no image: it begins with {start[:8]!r}; expected {OPEN}")


def reader(name: str) -> ModuleType:
    """The module that opens a format."""
    return READERS.get(name, pillow)
