from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from colorize_core.curation.examine import Examiner, Findings, Rules, border_share, difference_hash
from colorize_core.photo import Limits, Rejected
from colorize_core.sandbox import Sandbox

BLACK, WHITE, GRAY, CREAM = (6, 6, 6), (250, 250, 250), (120, 120, 122), (226, 214, 188)


def color_photograph(height: int = 300, width: int = 400, seed: int = 0) -> np.ndarray:
    """Soft blots of many colors, no two sides alike."""
    coarse = np.random.default_rng(seed).integers(30, 225, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def framed(picture: np.ndarray, rgb: tuple[int, int, int], sides: tuple[float, float, float, float]) -> np.ndarray:
    """A noisy JPEG of the picture with a frame, shares of the shorter side at top, right, bottom and left; at most 256
    pixels, as examination sees it."""
    top, right, bottom, left = (round(min(picture.shape[:2]) * side) for side in sides)
    made = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=rgb).astype(np.float32)
    made += np.random.default_rng(1).normal(0, 3, made.shape[:2])[..., None]
    jpeg = simplejpeg.encode_jpeg(np.clip(made, 0, 255).astype(np.uint8), 75, "RGB", "420")
    made = simplejpeg.decode_jpeg(jpeg, "RGB")
    scale = 256 / max(made.shape[:2])
    return cv2.resize(made, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def examined(folder: Path, picture: np.ndarray | Image.Image, rules: Rules | None = None, **options) -> Findings:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(folder / "a", **{"format": "PNG", **options})
    return Examiner(Limits(), rules or Rules()).examine(folder / "a")


def test_a_color_photograph_is_fit(tmp_path):
    picture = color_photograph(600, 900)
    found = examined(tmp_path, picture)
    assert (found.width, found.height, found.format, found.tone) == (900, 600, "PNG", "color")
    assert (found.reason, found.message) == (None, None)
    small = simplejpeg.decode_jpeg(found.thumbnail, "RGB")
    assert small.shape == (171, 256, 3)
    expected = cv2.resize(picture, (256, 171), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 1.5
    signature = np.frombuffer(found.signature, np.uint8).reshape(8, 8, 3)
    assert np.abs(signature.astype(int) - cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA)).max() <= 2
    assert found.dhash == difference_hash(expected)


def test_the_thumbnail_is_never_enlarged_and_keeps_chroma_whole(tmp_path):
    found = examined(tmp_path, color_photograph(120, 130))
    assert simplejpeg.decode_jpeg_header(found.thumbnail) == (120, 130, "YCbCr", "444")


def test_a_picture_is_examined_upright(tmp_path):
    picture = color_photograph(300, 500)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = examined(tmp_path, picture, format="JPEG", quality=95, exif=exif)
    assert (turned.width, turned.height) == (300, 500)
    assert Image.open(io.BytesIO(turned.thumbnail)).size == (154, 256)
    straight = examined(tmp_path, np.ascontiguousarray(np.rot90(picture, 3)), format="JPEG", quality=95)
    assert (turned.dhash ^ straight.dhash).bit_count() <= 2


def test_alpha_is_ignored(tmp_path):
    picture = color_photograph()
    clear = np.dstack([picture, np.tile(np.linspace(0, 255, 400).astype(np.uint8), (300, 1))])
    assert examined(tmp_path, clear) == examined(tmp_path, picture)


def test_difference_hash_reads_rows_from_the_top():
    falling = np.tile(np.linspace(255, 0, 90).astype(np.uint8)[None, :, None], (80, 1, 3))
    assert difference_hash(falling) == 2**64 - 1
    assert difference_hash(falling[:, ::-1]) == 0
    half = falling.copy()
    half[40:] = half[40:, ::-1]
    assert difference_hash(half) == 0xFFFFFFFF00000000


def test_reasons_and_their_order(tmp_path):
    picture = color_photograph()
    gray = picture[..., 1]
    ramp = np.linspace(0, 1, 256)[:, None] ** np.array([0.8, 1.0, 1.35])
    sepia = np.round(ramp * 255).astype(np.uint8)[gray]
    mat = cv2.copyMakeBorder(picture, 30, 30, 30, 30, cv2.BORDER_CONSTANT, value=CREAM)
    assert (examined(tmp_path, gray).reason, examined(tmp_path, gray).tone) == ("grayscale", "neutral")
    assert examined(tmp_path, np.dstack([gray] * 3)).reason == "grayscale"
    assert (examined(tmp_path, sepia).reason, examined(tmp_path, sepia).tone) == ("toned", "toned")
    assert examined(tmp_path, mat).reason == "bordered"
    assert "a frame takes 26.5% of the picture" in (examined(tmp_path, mat).message or "")
    assert examined(tmp_path, mat, Rules(max_border=0.4)).reason is None
    assert examined(tmp_path, mat, Rules(min_side=361)).message == "the shorter side has 360 pixels, fewer than 361"
    assert examined(tmp_path, gray[:99]).reason == "tiny"
    assert examined(tmp_path, picture[:100]).reason is None
    framed_gray = cv2.copyMakeBorder(gray, 30, 30, 30, 30, cv2.BORDER_CONSTANT, value=0)
    assert examined(tmp_path, framed_gray).reason == "grayscale"


def test_in_a_sandbox(tmp_path):
    Image.fromarray(color_photograph()).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:5000])
    sandbox = Sandbox(Examiner, Limits(), Rules(), memory=600 << 20)
    try:
        assert sandbox.call("examine", tmp_path / "a.png", seconds=60) == examined(tmp_path, color_photograph())
        with pytest.raises(Rejected) as caught:
            sandbox.call("examine", tmp_path / "b.png", seconds=60)
        assert caught.value.error_class in ("truncated", "corrupt")
    finally:
        sandbox.close()


@pytest.mark.parametrize("rgb", [BLACK, WHITE, GRAY, CREAM])
@pytest.mark.parametrize(
    "sides",
    [(0.02,) * 4, (0.05,) * 4, (0.2,) * 4, (0.1, 0, 0.1, 0), (0, 0.1, 0, 0.1), (0, 0, 0, 0.06), (0, 0, 0.06, 0)],
)
def test_frames_are_seen(rgb, sides):
    top, right, bottom, left = (round(600 * side) for side in sides)
    true = 1 - 600 * 800 / ((600 + top + bottom) * (800 + left + right))
    assert border_share(framed(color_photograph(600, 800), rgb, sides)) == pytest.approx(true, abs=0.035)


def test_a_frame_inside_a_frame():
    mat = cv2.copyMakeBorder(color_photograph(600, 800), 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=WHITE)
    seen = border_share(framed(mat, BLACK, (0.05, 0, 0.05, 0.05)))
    assert seen == pytest.approx(1 - 600 * 800 / ((680 + 68) * (880 + 34)), abs=0.03)


def sky() -> np.ndarray:
    """Blown-out white above a skyline."""
    picture = color_photograph()
    for x in range(400):
        picture[: 60 + round(25 * np.sin(x / 30)), x] = 252
    return picture


def dusk() -> np.ndarray:
    """A sky that darkens smoothly to the top, then a straight horizon."""
    picture = color_photograph()
    picture[:200] = (np.linspace(20, 160, 200)[:, None] * [0.7, 0.8, 1]).astype(np.uint8)[:, None]
    return picture


def backdrop() -> np.ndarray:
    """A thing in front of white."""
    picture = np.full((300, 400, 3), 250, np.uint8)
    cv2.ellipse(picture, (200, 150), (120, 90), 0, 0, 360, (180, 60, 40), -1)
    return picture


def night() -> np.ndarray:
    """Lamps in the dark."""
    picture = np.full((300, 400, 3), 8, np.uint8)
    for x, y in np.random.default_rng(4).integers(20, 280, (30, 2)):
        cv2.circle(picture, (int(x), int(y)), 6, (250, 200, 120), -1)
    return picture


def snow() -> np.ndarray:
    """A white field up to a straight horizon, far above."""
    picture = color_photograph()
    picture[150:] = 248
    return picture


@pytest.mark.parametrize("scene", [color_photograph, sky, dusk, backdrop, night, snow])
def test_scenes_are_no_frames(scene):
    assert border_share(framed(scene(), BLACK, (0, 0, 0, 0))) == 0


def test_few_photographs_are_called_framed(data):
    import pyarrow.parquet as pq

    table = next(pq.ParquetFile(data / "photos" / "photos-0.parquet").iter_batches(500, columns=["image"]))
    pictures = [np.asarray(Image.open(io.BytesIO(row)).convert("RGB")) for row in table["image"].to_pylist()]
    share = np.mean([border_share(picture) > Rules().max_border for picture in pictures])
    assert 0.005 < share < 0.03  # most of these do have a frame
