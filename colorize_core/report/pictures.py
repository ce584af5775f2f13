"""Two small pictures of a photo: as it was scanned and as it was colored."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

from colorize_core import __version__
from colorize_core.color import lab_to_srgb, srgb_to_lab
from colorize_core.photo import Limits, open_photo
from colorize_core.provenance import Label, Metadata, derive
from colorize_core.storage import Store

LONG_SIDE = 640
QUALITY = 80


@dataclass(frozen=True)
class Pair:
    """JPEG bytes before and after, of one size. ``from_scan`` is false where the scan could not be read."""

    before: bytes
    after: bytes
    width: int
    height: int
    from_scan: bool


def make_pair(output: Store, source: Store | None, row: dict) -> Pair:
    """The pair of a colorized record, at most 640 px on the long side.

    The scan is shown only in the version that was colored; where it is gone or changed, the picture before is the
    lightness of the derivative. Raises ``StorageError`` or ``OSError`` when the derivative itself cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="report-") as folder:
        path = Path(folder) / f"after{Path(row['output_key']).suffix}"
        output.fetch(output.stat(row["output_key"]), path)
        after = shrink_derivative(path)
        before = _scan(source, row, Path(folder) / "before", after.shape[:2])
    return Pair(
        _jpeg(_lightness(after) if before is None else before),
        _jpeg(after, _label(row, after)),
        after.shape[1],
        after.shape[0],
        before is not None,
    )


def shrink_derivative(path: Path) -> np.ndarray:
    """A derivative as (h, w, 3) uint8 sRGB, at most 640 px on the long side."""
    if path.suffix in (".tif", ".tiff"):  # Pillow misreads 16-bit color TIFF
        codes = tifffile.imread(path, key=0)
        image = Image.fromarray((codes >> 8).astype(np.uint8) if codes.dtype == np.uint16 else codes)
    else:
        image = Image.open(path)
        image.draft("RGB", (2 * LONG_SIDE, 2 * LONG_SIDE))
    image = image.convert("RGB")
    image.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.asarray(image)


def shrink_scan(path: Path, page: int, size: tuple[int, int]) -> np.ndarray:
    """A scan as (h, w, 3) uint8 sRGB of ``size`` (h, w): its own lightness, and the tint of a toned print."""
    photo = open_photo(path, Limits(), page)
    shape = size[::-1]
    codes = cv2.resize(photo.codes, shape, interpolation=cv2.INTER_AREA)
    ab = np.zeros((*size, 2), np.float32) if photo.ab is None else cv2.resize(photo.ab, shape)
    return _codes(lab_to_srgb(np.dstack([photo.lut[codes], ab])))


def _scan(source: Store | None, row: dict, path: Path, size: tuple[int, int]) -> np.ndarray | None:
    if source is None:
        return None
    try:
        entry = source.stat(row["key"])
        if entry.etag != row["source_etag"]:
            return None
        source.fetch(entry, path)
        return shrink_scan(path, row["page"], size)
    except Exception:  # an illustration: whatever keeps the scan from being read, the page says so and goes on
        return None


def _lightness(rgb: np.ndarray) -> np.ndarray:
    lab = srgb_to_lab(rgb.astype(np.float32) / 255)
    lab[..., 1:] = 0
    return _codes(lab_to_srgb(lab))


def _codes(rgb: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _label(row: dict, rgb: np.ndarray) -> bytes | None:
    """The XMP that says a machine colored this: true of the small picture as of the large one."""
    label = Label(version=f"{__version__} {row['model'] or ''} sha256:{row['model_digest'] or ''}")
    return derive(Metadata(), label, rgb.shape[1], rgb.shape[0]).xmp


def _jpeg(rgb: np.ndarray, xmp: bytes | None = None) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=QUALITY, optimize=True, progressive=True, xmp=xmp or b"")
    return out.getvalue()
