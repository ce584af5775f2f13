"""The picture at the top of the README: ``python -m demo.picture build/demo docs/before-after.jpg``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SHOWN = ("box-01/0001-astronaut.jpg", "box-01/0002-photographer.jpg", "box-01/0003-cat.tif", "box-02/0008-sepia.jpg")
SIDE, GAP = 320, 8  # pixels


def tile(path: Path) -> Image.Image:
    with Image.open(path) as file:
        deep = file.mode.startswith("I;16")
        image = Image.fromarray((np.asarray(file) >> 8).astype(np.uint8)) if deep else ImageOps.exif_transpose(file)
        return ImageOps.fit(image.convert("RGB"), (SIDE, SIDE), Image.Resampling.LANCZOS)


def draw(demo: Path) -> Image.Image:
    """Scans of the demo archive above their color derivatives."""
    sheet = Image.new("RGB", (len(SHOWN) * (SIDE + GAP) - GAP, 2 * SIDE + GAP), "white")
    for i, key in enumerate(SHOWN):
        sheet.paste(tile(demo / "scans" / key), (i * (SIDE + GAP), 0))
        sheet.paste(tile(demo / "color" / "photos" / f"{key}.jpg"), (i * (SIDE + GAP), SIDE + GAP))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="folder that `make demo` has filled")
    parser.add_argument("picture", type=Path, help="the JPEG to write")
    args = parser.parse_args()
    draw(args.demo).save(args.picture, quality=88)


if __name__ == "__main__":
    main()
