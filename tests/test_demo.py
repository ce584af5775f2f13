from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps
from skimage import data

from demo.archive import FILES, build, gray8
from demo.cmyk_profile import cmyk_profile


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    build(folder)
    return folder


def test_command_builds_the_archive(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "demo.archive", str(tmp_path / "new" / "scans")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("14 files")
    found = {str(path.relative_to(tmp_path / "new" / "scans")) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == set(FILES)


def test_command_names_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    command = [sys.executable, "-m", "demo.archive", str(tmp_path / "file")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert "cannot write the demo archive" in result.stderr
    assert "Traceback" not in result.stderr


def test_second_build_has_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    for path in build(tmp_path):
        assert path.read_bytes() == (archive / path.relative_to(tmp_path)).read_bytes(), path.name


def test_second_build_touches_nothing_but_what_changed(tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in build(tmp_path)}
    changed = tmp_path / "box-01/0001-astronaut.jpg"
    changed.write_bytes(b"scribbled over")
    build(tmp_path)
    assert changed.read_bytes() == FILES["box-01/0001-astronaut.jpg"]()
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if path != changed)


def test_gray_keeps_the_lightness_of_the_color_picture() -> None:
    from skimage.color import rgb2lab

    picture = data.coffee()
    gray = gray8(picture)
    lightness = rgb2lab(np.dstack([gray] * 3))[..., 0]
    assert np.abs(lightness - rgb2lab(picture)[..., 0]).max() < 0.5


def test_jpeg_with_metadata(archive: Path) -> None:
    with Image.open(archive / "box-01/0001-astronaut.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "L", (512, 512))
        assert image.info["dpi"] == (300, 300)
        assert image.getexif()[315] == "NASA"
        assert b"Eileen Collins in her flight suit" in image.info["xmp"]
        assert b"\x1c\x02\x50\x00\x04NASA" in image.info["photoshop"][0x0404]
        assert not image.info.get("progressive")


def test_progressive_jpeg(archive: Path) -> None:
    with Image.open(archive / "box-01/0002-photographer.jpg") as image:
        assert (image.format, image.mode) == ("JPEG", "L")
        assert image.info["progressive"]


def test_16_bit_tiff_uses_its_bits(archive: Path) -> None:
    with tifffile.TiffFile(archive / "box-01/0003-cat.tif") as tiff:
        pixels = tiff.asarray()
        assert tiff.pages[0].tags["XResolution"].value == (600, 1)
    assert (pixels.dtype, pixels.shape) == (np.uint16, (300, 451))
    assert len(np.unique(pixels)) > 5000


def test_lzw_tiff_with_metadata(archive: Path) -> None:
    with tifffile.TiffFile(archive / "box-01/0004-rocket.tif") as tiff:
        tags = tiff.pages[0].tags
        assert tags["Compression"].value == tifffile.COMPRESSION.LZW
        assert b"SpaceX" in tags["XMP"].value
        assert b"SpaceX" in bytes(tags["IPTCNAA"].value)
        assert np.array_equal(tiff.asarray(), gray8(data.rocket()))


def test_album_has_three_pages(archive: Path) -> None:
    with tifffile.TiffFile(archive / "box-02/0005-album.tif") as tiff:
        pages = [page.asarray() for page in tiff.pages]
    assert len(pages) == 3
    assert np.array_equal(pages[1], data.coins())


def test_press_print_is_cmyk_and_its_profile_brings_the_gray_back(archive: Path) -> None:
    with Image.open(archive / "box-02/0006-press-print.jpg") as image:
        assert image.mode == "CMYK"
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        back = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    error = np.abs(np.asarray(back).astype(int) - gray8(data.stereo_motorcycle()[0])[..., None])
    assert error.mean() < 2
    assert np.percentile(error, 99) < 8


def test_cmyk_profile_gives_the_colors_of_its_inks() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(cmyk_profile()))
    assert (profile.profile.xcolor_space, profile.profile.connection_space) == ("CMYK", "Lab ")
    assert ImageCms.getProfileDescription(profile).strip() == "Autochrome demo CMYK"
    to_rgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
    inks = {
        (0, 0, 0, 0): (255, 255, 255),
        (255, 0, 0, 0): (0, 255, 255),
        (0, 255, 255, 0): (255, 0, 0),
        (0, 0, 0, 255): (0, 0, 0),
    }
    for ink, expected in inks.items():
        color = to_rgb.apply(Image.new("CMYK", (1, 1), ink)).getpixel((0, 0))
        assert np.allclose(color, expected, atol=3), (ink, color)


def test_portrait_is_cut_out(archive: Path) -> None:
    with Image.open(archive / "box-02/0007-portrait.png") as image:
        assert (image.format, image.mode) == ("PNG", "LA")
        alpha = np.asarray(image.getchannel("A"))
    assert alpha[0, 0] == 0
    assert alpha[alpha.shape[0] // 2, alpha.shape[1] // 2] == 255


def test_sepia_is_one_brown_tone(archive: Path) -> None:
    with Image.open(archive / "box-02/0008-sepia.jpg") as image:
        red, green, blue = (np.asarray(band).astype(float) for band in image.split())
    assert red.mean() > green.mean() > blue.mean()
    assert np.corrcoef(red.ravel(), blue.ravel())[0, 1] > 0.99


def test_sideways_stands_up_by_its_exif(archive: Path) -> None:
    with Image.open(archive / "box-03/0009-sideways.jpg") as image:
        assert image.getexif()[274] == 6
        upright = np.asarray(ImageOps.exif_transpose(image))
    expected = gray8(data.stereo_motorcycle()[1])
    assert upright.shape == expected.shape
    assert np.abs(upright.astype(int) - expected).mean() < 3


def test_color_photograph_is_colorful(archive: Path) -> None:
    with Image.open(archive / "box-03/0010-in-color.jpg") as image:
        assert image.mode == "RGB"
        assert np.ptp(np.asarray(image), axis=-1).mean() > 50


def test_page_is_one_bit(archive: Path) -> None:
    with Image.open(archive / "box-03/0011-page.tif") as image:
        assert (image.mode, image.info["compression"]) == ("1", "group4")
        assert 0.7 < np.asarray(image).mean() < 0.95, "paper is white and the letters are black"


def test_huge_png_is_small_on_disk(archive: Path) -> None:
    path = archive / "box-04 (damaged)/0012-huge.png"
    content = path.read_bytes()
    assert len(content) < 500
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">2I", content[16:24]) == (40_000, 40_000)


def test_truncated_jpeg_ends_in_the_middle(archive: Path) -> None:
    with (
        Image.open(archive / "box-04 (damaged)/0013-truncated.jpg") as image,
        pytest.raises(OSError, match="truncated"),
    ):
        image.load()


def test_note_is_no_photo(archive: Path) -> None:
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(archive / "box-04 (damaged)/0014-not-a-photo.jpg")
