"""The two EXIF fields that change how a picture is read: orientation and resolution."""

from __future__ import annotations

from PIL import Image


def orientation_and_dpi(exif: bytes | Image.Exif | None) -> tuple[int, tuple[float, float] | None]:
    """Orientation (1..8) and dots per inch from an EXIF block; broken EXIF reads as upright and unknown."""
    try:
        if isinstance(exif, bytes):
            block, exif = exif, Image.Exif()
            exif.load(block)
        tags = dict(exif or {})
    except Exception:  # Pillow raises many kinds on broken EXIF, which never fails a photo
        return 1, None
    return orientation(tags.get(0x0112)), resolution(tags.get(0x011A), tags.get(0x011B), tags.get(0x0128, 2))


def orientation(value: object) -> int:
    """An orientation tag as 1..8; anything else is upright."""
    if isinstance(value, tuple) and value:
        value = value[0]
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def resolution(x: object, y: object, unit: object) -> tuple[float, float] | None:
    """Dots per inch from two resolutions (numbers or fractions) and their unit: 2 inch, 3 centimeter."""
    try:
        x, y = (v[0] / v[1] if isinstance(v, tuple) else float(v) for v in (x, y))  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return None
    scale = {2: 1.0, 3: 2.54}.get(int(unit) if isinstance(unit, int) else 0, 0.0)
    x, y = x * scale, y * scale
    return (x, y) if 1 <= x < 1e6 and 1 <= y < 1e6 else None
