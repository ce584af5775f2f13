from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gnarly_photos import GNARLY

from colorize_core.photo import Limits, Rejected, open_photo

LIMITS = Limits()


def save(name: str, folder: Path) -> Path:
    path = folder / GNARLY[name].filename
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(GNARLY[name].content)
    return path


def test_file_names_are_all_different() -> None:
    filenames = [photo.filename for photo in GNARLY.values()]
    assert len(set(filenames)) == len(filenames)


def test_same_bytes_in_another_process() -> None:
    code = "import hashlib, gnarly_photos; print(hashlib.sha256(repr(gnarly_photos.GNARLY).encode()).hexdigest())"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", [name for name, photo in GNARLY.items() if photo.opens])
def test_opens(name: str, tmp_path: Path) -> None:
    photo = open_photo(save(name, tmp_path), LIMITS)
    lightness = photo.lightness(slice(None))
    assert lightness.shape == photo.codes.shape
    assert np.isfinite(lightness).all()
    assert lightness.min() >= 0
    assert lightness.max() <= 100.01
    if lightness.size > 1:
        assert np.ptp(lightness) > 10, "the picture has shades, not filler"


@pytest.mark.parametrize("name", [name for name, photo in GNARLY.items() if not photo.opens])
def test_rejected(name: str, tmp_path: Path) -> None:
    with pytest.raises(Rejected) as rejection:
        open_photo(save(name, tmp_path), LIMITS)
    assert rejection.value.error_class == GNARLY[name].expected
    assert str(rejection.value)
