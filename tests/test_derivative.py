import io
import json
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import ExifTags, Image, ImageCms, IptcImagePlugin
from test_exif import THUMBNAIL, block, pillow
from test_provenance import IPTC, XMP

from colorize_core import derivative, xmp
from colorize_core.derivative import SRGB, Encoding, depth, encode, extension, resolve
from colorize_core.provenance import SOURCE_TYPES, Label, Metadata, derive, read_metadata

WIDTH, HEIGHT = 83, 61
FORMATS = [("jpeg", 8), ("png", 8), ("png", 16), ("tiff", 8), ("tiff", 16)]
LOSSLESS = [case for case in FORMATS if case[0] != "jpeg"]
LABEL = Label(version="0.1.0 autochrome sha256:ab")


def picture(bits: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A colored ramp with noise that uses the whole range of codes."""
    random = np.random.default_rng(7)
    ramp = np.linspace(0, 1, width)[None, :, None] * np.linspace(0.2, 1, height)[:, None, None]
    rgb = ramp * [1.0, 0.7, 0.4] + random.normal(0, 0.05, (height, width, 3))
    top = 2**bits - 1
    return (rgb.clip(0, 1) * top).round().astype(f"u{bits // 8}")


def strips(rgb: np.ndarray, rows: int = 7):
    return (rgb[at : at + rows] for at in range(0, len(rgb), rows))


def metadata(order: str = "<", **changes) -> Metadata:
    source = Metadata(block(order), XMP, IPTC, (300, 600))
    return derive(replace(source, **changes), LABEL, WIDTH, HEIGHT, "box 1/tram.tif", "ab" * 32)


def write(path: Path, format: str, bits: int = 8, alpha: np.ndarray | None = None, **options) -> Path:
    options.setdefault("metadata", metadata())
    encoding = Encoding(format, options.pop("quality", 92), options.pop("subsampling", "444"))
    encode(path, strips(picture(bits)), WIDTH, HEIGHT, bits, encoding, options["metadata"], alpha)
    return path


def decode(path: Path, format: str) -> np.ndarray:
    """Pixels as a library reads them that had no part in writing them."""
    if format == "tiff":
        return tifffile.imread(path)
    if format == "png":
        return imagecodecs.png_decode(path.read_bytes())
    return np.asarray(Image.open(path))


@pytest.mark.parametrize("format, bits", LOSSLESS)
@pytest.mark.parametrize("alpha", [None, "u1", "u2"])
def test_lossless_formats_keep_every_code_and_alpha(format, bits, alpha, tmp_path):
    opacity = None
    if alpha:
        top = np.iinfo(alpha).max
        opacity = np.linspace(0, top, WIDTH * HEIGHT).round().astype(alpha).reshape(HEIGHT, WIDTH)
    read = decode(write(tmp_path / "out", format, bits, opacity), format)
    assert read.dtype == np.dtype(f"u{bits // 8}")
    np.testing.assert_array_equal(read[..., :3], picture(bits))
    if alpha is None:
        assert read.shape[2] == 3
    else:
        expected = (opacity / np.iinfo(alpha).max * (2**bits - 1)).round()
        np.testing.assert_array_equal(read[..., 3], expected)


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_pillow_reads_lossless_8_bit_too(format, tmp_path):
    opacity = picture(8)[..., 0]
    read = Image.open(write(tmp_path / "out", format, 8, opacity))
    assert read.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(read), np.dstack([picture(8), opacity]))


def in_one(rgb: np.ndarray, quality: int, subsampling: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, subsampling=":".join(subsampling))
    return file.getvalue()


@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
@pytest.mark.parametrize("quality", [1, 92, 100])
def test_jpeg_in_pieces_is_the_jpeg_in_one(subsampling, quality, tmp_path, monkeypatch):
    monkeypatch.setattr(derivative, "strip_rows", lambda width: 16)  # the smallest pieces there are
    rgb = picture(8, height=200)
    path = tmp_path / "out.jpg"
    encode(path, strips(rgb), WIDTH, len(rgb), 8, Encoding("jpeg", quality, subsampling), Metadata())
    data = path.read_bytes()
    assert b"\xff\xd7" in data and b"\xff\xdd" in data
    whole = in_one(rgb, quality, subsampling)
    for read in (simplejpeg.decode_jpeg, lambda data: np.asarray(Image.open(io.BytesIO(data)))):
        np.testing.assert_array_equal(read(data), read(whole))
    assert simplejpeg.decode_jpeg_header(data)[:4] == simplejpeg.decode_jpeg_header(whole)[:4]


def test_jpeg_quality_is_honored(tmp_path):
    sizes = [write(tmp_path / "out.jpg", "jpeg", quality=quality).stat().st_size for quality in (30, 92, 100)]
    assert sizes == sorted(set(sizes))
    error = np.asarray(Image.open(tmp_path / "out.jpg")).astype(int) - picture(8)
    assert np.abs(error).mean() < 0.5


@pytest.mark.parametrize("format, bits", FORMATS)
@pytest.mark.parametrize("order", "<>")
def test_metadata_is_read_by_pillow(format, bits, order, tmp_path):
    path = write(tmp_path / "out", format, bits, metadata=metadata(order))
    if (format, bits) == ("tiff", 16):  # Pillow opens no such file; exiftool reads it below
        read = read_metadata(path, format)
        exif, packet, dpi = pillow(read.exif), read.xmp, read.dpi
    else:
        image = Image.open(path)
        image.load()
        exif, packet, dpi = image.getexif(), image.info.get("xmp"), image.info["dpi"]
        if format == "tiff":
            packet = exif[700]
        assert image.info["icc_profile"] == SRGB
    assert dpi == pytest.approx((600, 300), abs=0.02)
    assert (exif[271], exif[305], exif[33432], exif[274]) == ("Linhof", "Scan 1.0", "Archive", 1)
    detail = exif.get_ifd(0x8769)
    assert (detail[36867], detail[40961], detail[40962], detail[40963]) == ("1950:01:02 03:04:05", 1, WIDTH, HEIGHT)
    assert exif.get_ifd(0x8825) == {1: "N", 2: (52.0, 30.0, 0.0)}
    assert not exif.get_ifd(ExifTags.IFD.IFD1) and THUMBNAIL not in path.read_bytes()
    properties = xmp.Packet(packet)
    assert properties.get(f"{{{xmp.IPTC_EXT}}}DigitalSourceType") == SOURCE_TYPES[0]
    assert properties.get(f"{{{xmp.IPTC_EXT}}}AISystemVersionUsed") == LABEL.version
    assert properties.get("{http://a/}note") == "kept"
    assert read_metadata(path, format).iptc == IPTC
    if format == "jpeg" or (format, bits) == ("tiff", 8):
        assert IptcImagePlugin.getiptcinfo(image)[2, 120] == b"A tram, 1911"


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
@pytest.mark.parametrize("format, bits", FORMATS)
@pytest.mark.parametrize("order", "<>")
def test_metadata_is_read_by_exiftool(format, bits, order, tmp_path):
    path = write(tmp_path / "out", format, bits, metadata=metadata(order))
    command = ["exiftool", "-json", "-G1", "-n", "-a", "-all", "-validate", "-warning", "-error", path]
    (tags,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert tags["IFD0:Make"] == "Linhof" and tags["IFD0:Orientation"] == 1
    assert tags["ExifIFD:DateTimeOriginal"] == "1950:01:02 03:04:05" and tags["GPS:GPSLatitude"] == 52.5
    assert tags["IPTC:Caption-Abstract"] == "A tram, 1911"
    assert tags["XMP-iptcExt:DigitalSourceType"] == SOURCE_TYPES[0]
    assert tags["XMP-xmpMM:DerivedFromFilePath"] == "box 1/tram.tif" and tags["XMP-a:Note"] == "kept"
    assert tags["ICC_Profile:ProfileDescription"].startswith("sRGB")
    assert tags.get("IFD0:XResolution") == 600 and tags.get("IFD0:YResolution") == 300
    # "undef" is what the XMP specification asks for; as 32-bit integers the records would be turned around by libtiff
    known = ("Missing required", "[minor]", "Non-standard format (undef) for IFD0 0x83bb IPTC-NAA")
    complaints = [value for name, value in tags.items() if name.endswith((":Warning", ":Error"))]
    assert not [value for value in complaints if not str(value).startswith(known)]


@pytest.mark.parametrize("format, bits", FORMATS)
def test_a_photo_that_says_nothing_gets_label_and_profile_only(format, bits, tmp_path):
    path = write(tmp_path / "out", format, bits, metadata=derive(Metadata(), LABEL, WIDTH, HEIGHT))
    read = read_metadata(path, format)
    assert read.dpi is None and read.iptc is None
    assert xmp.Packet(read.xmp).get(f"{{{xmp.IPTC_EXT}}}AISystemUsed") == "Autochrome"
    assert SRGB in path.read_bytes() or format == "png"


@pytest.mark.parametrize("format, bits", FORMATS)
def test_bytes_do_not_depend_on_the_strips_or_the_process(format, bits, tmp_path):
    first = write(tmp_path / "a", format, bits).read_bytes()
    for rows in (1, 8, HEIGHT):
        encode(tmp_path / "b", strips(picture(bits), rows), WIDTH, HEIGHT, bits, Encoding(format), metadata())
        assert (tmp_path / "b").read_bytes() == first
    script = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]\n"
        f"from test_derivative import write; write(Path(sys.argv[1]), {format!r}, {bits})"
    )
    paths = [tmp_path / "c", Path(__file__).parent, Path(__file__).parents[1]]
    subprocess.run([sys.executable, "-c", script, *paths], check=True, env={"PYTHONHASHSEED": "5"})
    assert (tmp_path / "c").read_bytes() == first


def test_the_profile_is_srgb_and_has_no_clock():
    assert SRGB[24:36] == struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(SRGB))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    codes = np.stack(np.meshgrid(*[np.linspace(0, 255, 9).astype(np.uint8)] * 3), -1).reshape(27, 27, 3)
    seen = ImageCms.profileToProfile(Image.fromarray(codes), profile, ImageCms.createProfile("sRGB"))
    assert np.abs(np.asarray(seen).astype(int) - codes).max() <= 1


def test_metadata_larger_than_a_jpeg_segment_is_spread(tmp_path):
    long = XMP.replace(b"kept", b"x" * 200_000)
    iptc = b"\x1c\x02\x78\x80\x04" + struct.pack(">I", 150_000) + b"y" * 150_000
    path = write(tmp_path / "out.jpg", "jpeg", metadata=metadata(xmp=long, iptc=iptc))
    read = read_metadata(path, "JPEG")
    assert read.iptc == iptc
    properties = xmp.Packet(read.xmp)
    assert properties.get("{http://a/}note") == "x" * 200_000
    main = xmp.Packet(Image.open(path).info["xmp"])
    assert main.get(f"{{{xmp.IPTC_EXT}}}DigitalSourceType") == SOURCE_TYPES[0]
    if shutil.which("exiftool"):
        command = ["exiftool", "-json", "-b", "-XMP-a:all", "-IPTC:all", path]
        (tags,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert tags["Note"] == "x" * 200_000 and tags["Caption-Abstract"] == "y" * 150_000


def test_exif_too_large_for_jpeg_is_dropped_there_and_kept_elsewhere(tmp_path):
    blob = pillow(block("<"))
    for tag in (270, 315, 33432):
        blob[tag] = "x" * 30_000
    large = metadata(exif=blob.tobytes().removeprefix(b"Exif\0\0"))
    assert read_metadata(write(tmp_path / "a", "jpeg", metadata=large), "JPEG").exif is None
    for format in ("png", "tiff"):
        kept = pillow(read_metadata(write(tmp_path / "b", format, metadata=large), format).exif)
        assert [len(kept[tag]) for tag in (270, 315, 33432)] == [30_000] * 3


def test_big_tiff_is_written_when_4_gb_are_possible(tmp_path, monkeypatch):
    monkeypatch.setattr(derivative, "LARGEST_CLASSIC_TIFF", 1000)
    for order in "<>":
        path = write(tmp_path / "big.tif", "tiff", 16, metadata=metadata(order))
        with tifffile.TiffFile(path) as file:
            assert file.is_bigtiff and file.byteorder == order
            page = file.pages[0]
            np.testing.assert_array_equal(page.asarray(), picture(16))
            assert page.tags[34665].value["DateTimeOriginal"] == "1950:01:02 03:04:05"
        assert pillow(read_metadata(path, "TIFF").exif).get_ifd(0x8825)[1] == "N"


def test_tiff_says_who_wrote_it_when_nobody_else_did(tmp_path):
    path = write(tmp_path / "out.tif", "tiff", metadata=Metadata(dpi=(299.5, 72)))
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        assert tags["Software"].value == "Autochrome"
        assert tags["XResolution"].value == (599, 2) and tags["YResolution"].value == (72, 1)


@pytest.mark.parametrize("width, height", [(1, 1), (1, 300), (300, 1), (17, 16)])
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_odd_sizes(format, width, height, tmp_path):
    rgb = picture(8, width, height)
    encode(tmp_path / "out", strips(rgb), width, height, 8, Encoding(format, 100, "420"), Metadata())
    read = np.asarray(Image.open(tmp_path / "out"))
    assert read.shape == rgb.shape
    if format != "jpeg":
        np.testing.assert_array_equal(read, rgb)


@pytest.mark.parametrize(
    "wrong, match",
    [
        (lambda rgb: strips(rgb[:-1]), "have 60 rows"),
        (lambda rgb: strips(np.vstack([rgb, rgb])), "more than 61"),
        (lambda rgb: strips(rgb[:, :-1]), "expected"),
        (lambda rgb: strips(rgb.astype(np.uint16)), "uint8"),
        (lambda rgb: iter(()), "have 0 rows"),
    ],
)
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_strips_that_are_not_the_picture_leave_no_file(format, wrong, match, tmp_path):
    path = tmp_path / "out"
    with pytest.raises(ValueError, match=match):
        encode(path, wrong(picture(8)), WIDTH, HEIGHT, 8, Encoding(format), Metadata())
    assert not path.exists()


@pytest.mark.parametrize(
    "format, bits, width, alpha",
    [("jpeg", 16, WIDTH, None), ("jpeg", 8, 65_501, None), ("png", 12, WIDTH, None), ("same", 8, WIDTH, None)]
    + [("jpeg", 8, WIDTH, np.zeros((HEIGHT, WIDTH), np.uint8)), ("png", 8, WIDTH, np.zeros((2, 2), np.uint8))],
)
def test_impossible_wishes_are_refused(format, bits, width, alpha, tmp_path):
    with pytest.raises(ValueError):
        encode(tmp_path / "out", iter(()), width, HEIGHT, bits, Encoding(format), Metadata(), alpha)


@pytest.mark.parametrize("wish", [{"format": "gif"}, {"quality": 0}, {"quality": 101}, {"subsampling": "411"}])
def test_encoding_says_what_it_cannot_be(wish):
    with pytest.raises(ValueError, match="must be"):
        Encoding(**wish)


@pytest.mark.parametrize(
    "wish, source, size, alpha, bits, expected",
    [
        ("jpeg", "TIFF", (10, 10), False, 16, "jpeg"),
        ("jpeg", "TIFF", (10, 10), True, 8, "png"),
        ("jpeg", "TIFF", (65_500, 10), False, 8, "jpeg"),
        ("jpeg", "TIFF", (10, 65_501), False, 8, "tiff"),
        ("tiff", "JPEG", (10, 10), False, 8, "tiff"),
        ("png", "JPEG", (10, 10), False, 8, "png"),
        ("same", "JPEG", (10, 10), False, 8, "jpeg"),
        ("same", "TIFF", (10, 10), True, 16, "tiff"),
        ("same", "PNG", (10, 10), False, 16, "png"),
        ("same", "GIF", (10, 10), False, 8, "png"),
        ("same", "WEBP", (10, 10), False, 8, "jpeg"),
        ("same", "WEBP", (10, 10), True, 8, "png"),
        ("same", "JPEG2000", (10, 10), False, 16, "tiff"),
    ],
)
def test_resolved_format(wish, source, size, alpha, bits, expected):
    assert resolve(Encoding(wish), source, *size, alpha, bits) == expected


def test_depth_and_extension():
    assert [depth("jpeg", bits) for bits in (8, 16)] == [8, 8]
    assert [depth(format, bits) for format in ("png", "tiff") for bits in (8, 16)] == [8, 16, 8, 16]
    assert [extension(format) for format in ("jpeg", "png", "tiff")] == ["jpg", "png", "tif"]


PEAK = """
import resource, sys
from pathlib import Path
import numpy as np
from colorize_core.derivative import Encoding, encode
from colorize_core.provenance import Metadata
side, format = 10_000, sys.argv[2]
strip = np.random.default_rng(0).integers(100, 110, (100, side, 3), dtype=np.uint8)
encode(Path(sys.argv[1]), (strip for _ in range(2)), side, 200, 8, Encoding(format), Metadata())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
encode(Path(sys.argv[1]), (strip for _ in range(100)), side, side, 8, Encoding(format), Metadata())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_100_megapixels_take_no_more_memory_than_2(format, tmp_path):
    command = [sys.executable, "-c", PEAK, tmp_path / "out", format]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=Path(__file__).parents[1])
    assert int(done.stdout) < 20_000, "kilobytes more at the peak; one strip of the picture is 3,000"
