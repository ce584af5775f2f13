"""A small archive of real pictures and the task of colorizing it, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from skimage import data

from colorize_core.derivative import Encoding
from colorize_core.ensemble import Ensemble
from colorize_core.photo import Limits
from colorize_core.provenance import Label
from colorize_core.recipe import Recipe
from colorize_core.stages import Colorize, Task
from colorize_core.storage import Store
from colorize_core.weights import DEFAULT

GB = 1 << 30
JPEG, USUAL = Encoding(), Limits()


def make_task(
    source: Path | str, output: Path | str, *, model=DEFAULT, recolor=False, encoding=JPEG, limits=USUAL, **bounds
) -> Task:
    recipe = Recipe.of(Ensemble.find(model), encoding, recolor, Label(version="test"))
    bounds = {"seconds": 30.0, "memory": 4 * GB} | bounds
    return Task(Store(str(source)), Store(str(output)), "test", recipe, limits, **bounds)


def gray(picture: np.ndarray, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(picture).convert("L").resize(size)


def write_archive(folder: Path) -> list[str]:
    """Seven scans, one of which is a color photograph and one is damaged; gives their keys."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "box 1").mkdir(exist_ok=True)
    gray(data.astronaut(), (300, 260)).save(folder / "box 1" / "portrait.jpg", quality=90)
    gray(data.coffee(), (200, 310)).save(folder / "box 1" / "50% cup#1.png")
    wide = np.asarray(gray(data.rocket(), (420, 180)), np.uint16) * 257
    tifffile.imwrite(folder / "rocket.tif", wide, photometric="minisblack")
    pages = np.stack([np.asarray(gray(p, (160, 150))) for p in (data.chelsea(), data.camera(), data.moon())])
    with tifffile.TiffWriter(folder / "album.tiff") as album:
        for page in pages:
            album.write(page, photometric="minisblack")
    Image.fromarray(data.coffee()).resize((240, 160)).save(folder / "color.jpg", quality=95)
    whole = (folder / "box 1" / "portrait.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "letter.jpg").write_text("Dear archivist, this is no picture.")
    return [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]


def colorize_here(
    task: Task, keys: list[str] | None = None, *, model=DEFAULT, hints: dict[str, str] | None = None
) -> dict:
    """Take scans through all steps in this process; gives the records by (key, page)."""
    colorize = Colorize(task, model, "cpu")
    records = {}
    for entry in task.source.list():
        if keys is None or entry.key in keys:
            for record in colorize(entry, 1, (hints or {}).get(entry.key)):
                records[record.key, record.page] = record
    colorize.bench.sandbox.close()
    return records
