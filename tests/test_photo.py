from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import Image, ImageCms
from skimage.color import rgb2lab

from colorize_core import formats
from colorize_core.photo import Limits, Photo, Rejected, open_photo, read_header

LIMITS = Limits()
HEIGHT, WIDTH = 60, 83


def color_picture(bits: int = 8) -> np.ndarray:
    """A smooth colorful picture with a little grain: (HEIGHT, WIDTH, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    picture = np.stack([x / WIDTH, y / HEIGHT, (x + y) / (WIDTH + HEIGHT)], -1)
    picture += np.random.default_rng(3).normal(0, 0.02, picture.shape)
    return np.round(np.clip(picture, 0, 1) * ((1 << bits) - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def gray_picture(bits: int = 8) -> np.ndarray:
    return np.ascontiguousarray(color_picture(bits)[..., 2])


def lightness_of(codes: np.ndarray, peak: int) -> np.ndarray:
    """L of sRGB codes by scikit-image; gray counts as equal channels."""
    codes = codes / peak
    return rgb2lab(codes if codes.ndim == 3 else np.stack([codes] * 3, -1))[..., 0]


def opened(path: Path, want: np.ndarray, tolerance: float = 0.01, **options) -> Photo:
    """The photo, once its L is what it should be."""
    photo = open_photo(path, LIMITS, **options)
    assert (photo.height, photo.width) == want.shape
    got = photo.lightness(slice(0, photo.height))
    assert got.dtype == np.float32
    assert np.abs(got - want).max() < tolerance
    return photo


def refusal(path: Path, limits: Limits = LIMITS, page: int = 0) -> str:
    with pytest.raises(Rejected) as caught:
        open_photo(path, limits, page)
    assert len(str(caught.value)) > 20
    return caught.value.error_class


def pillow_file(path: Path, picture: np.ndarray | Image.Image, format: str, **options) -> Path:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(path, format, **options)
    return path


# What opens by content, and how


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "WEBP", "JPEG2000"])
@pytest.mark.parametrize("kind", ["gray", "color"])
def test_lossless_formats_keep_lightness(tmp_path, format, kind):
    picture = gray_picture() if kind == "gray" else color_picture()
    path = pillow_file(tmp_path / "name.jpg", picture, format, **({"lossless": True} if format == "WEBP" else {}))
    photo = opened(path, lightness_of(picture, 255))
    assert photo.header.format == format
    assert (photo.ab is None) == (kind == "gray")
    assert photo.bits == 8
    assert photo.alpha is None
    if kind == "gray":
        assert (photo.codes == picture).all()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kind", ["gray", "color"])
def test_jpeg(tmp_path, progressive, kind):
    picture = gray_picture() if kind == "gray" else color_picture()
    path = pillow_file(tmp_path / "a.tif", picture, "JPEG", quality=95, progressive=progressive, dpi=(300, 300))
    decoded = np.asarray(Image.open(path))
    photo = opened(path, lightness_of(decoded, 255), 0.5)  # chroma upsampling may differ by a level
    assert (photo.header.format, photo.header.bits, photo.header.dpi) == ("JPEG", 8, (300, 300))


def test_avif_and_gif(tmp_path):
    path = pillow_file(tmp_path / "a.avif", color_picture(), "AVIF", quality=95)
    opened(path, lightness_of(np.asarray(Image.open(path)), 255))
    palette = Image.fromarray(color_picture()).quantize(200)
    path = pillow_file(tmp_path / "a.gif", palette, "GIF")
    assert opened(path, lightness_of(np.asarray(palette.convert("RGB")), 255)).header.mode == "P"


def test_first_picture_of_an_animation(tmp_path):
    first, second = Image.fromarray(gray_picture()), Image.fromarray(255 - gray_picture())
    path = pillow_file(tmp_path / "a.gif", first, "GIF", save_all=True, append_images=[second])
    assert opened(path, lightness_of(gray_picture(), 255)).header.pages == 1


@pytest.mark.parametrize("bits", [2, 10, 12, 16])
def test_deep_jpeg(tmp_path, bits):
    picture = gray_picture(bits)
    path = tmp_path / "a.jpg"
    path.write_bytes(imagecodecs.jpeg8_encode(picture, lossless=True, bitspersample=bits))
    photo = opened(path, lightness_of(picture, (1 << bits) - 1))
    assert photo.header.bits == bits
    assert photo.bits == (8 if bits <= 8 else 16)


def test_cmyk_jpeg_of_adobe_is_inverted(tmp_path):
    rgb = color_picture()
    path = pillow_file(tmp_path / "a.jpg", Image.fromarray(rgb).convert("CMYK"), "JPEG", quality=100, subsampling=0)
    photo = opened(path, lightness_of(rgb, 255), 2.5)
    assert photo.header.mode == "CMYK"


def test_jpeg_with_sampling_the_fast_decoder_refuses(data):
    path = data / "hostile" / "seed-corpora__testorig_vflip_410_q10_baseline.jpg"
    with pytest.raises(ValueError, match="subsampling"):
        simplejpeg.decode_jpeg(path.read_bytes())
    opened(path, lightness_of(np.asarray(Image.open(path)), 255))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("kind", ["gray", "color"])
def test_jpeg_2000_of_every_depth(tmp_path, bits, kind):
    picture = gray_picture(bits) if kind == "gray" else color_picture(bits)
    path = tmp_path / "a.jp2"
    path.write_bytes(imagecodecs.jpeg2k_encode(picture, reversible=True, bitspersample=bits))
    photo = opened(path, lightness_of(picture, (1 << bits) - 1))
    assert photo.header.bits == bits
    assert photo.bits == (8 if bits == 8 else 16)


def psd(picture: np.ndarray, mode: int, bits: int, packed_rows: bool, big: bool = False, layers: int = 0) -> bytes:
    """A Photoshop file of the planes of ``picture`` (H, W, C)."""
    planes = np.moveaxis(picture, -1, 0).astype(">u2" if bits == 16 else np.uint8)
    channels, height, width = planes.shape
    if bits == 1:
        planes = np.packbits(planes, axis=-1)
    head = b"8BPS" + struct.pack(">H6xHIIHH", 2 if big else 1, channels, height, width, bits, mode)
    resolution = b"8BIM" + struct.pack(">HHIIHHIHH", 1005, 0, 16, 300 << 16, 1, 1, 300 << 16, 1, 1)
    wide = ">Q" if big else ">I"
    layer_info = struct.pack(wide + "h", 2, layers) + bytes(2)
    body = head + bytes(4) + struct.pack(">I", len(resolution)) + resolution
    body += struct.pack(wide, len(layer_info)) + layer_info
    if not packed_rows:
        return body + b"\0\0" + planes.tobytes()
    rows = [bytes(imagecodecs.packbits_encode(row.tobytes())) for plane in planes for row in plane]
    counts = b"".join(struct.pack(">I" if big else ">H", len(row)) for row in rows)
    return body + b"\0\1" + counts + b"".join(rows)


@pytest.mark.parametrize("packed_rows", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["gray", "color", "cmyk", "lab"])
def test_photoshop_files(tmp_path, kind, bits, packed_rows):
    full = (1 << bits) - 1
    if kind == "gray":
        picture, mode, want = gray_picture(bits)[..., None], 1, lightness_of(gray_picture(bits), full)
    elif kind == "color":
        picture, mode, want = color_picture(bits), 3, lightness_of(color_picture(bits), full)
    elif kind == "cmyk":
        picture, mode = np.dstack([full - color_picture(bits), full - gray_picture(bits) // 3]), 4
        light = picture[..., :3] / full * (picture[..., 3:] / full)
        want = lightness_of(light, 1)
    else:
        picture, mode, want = color_picture(bits), 9, color_picture(bits)[..., 0] * (100 / full)
    path = tmp_path / "a.psd"
    path.write_bytes(psd(picture, mode, bits, packed_rows))
    photo = opened(path, want)
    assert (photo.header.format, photo.bits, photo.header.dpi) == ("PSD", bits, (300, 300))
    if bits == 8 and kind in ("gray", "color"):
        with Image.open(path) as image:
            assert (np.asarray(image) == picture.squeeze()).all(), "the writer did what the test needs"
    path.write_bytes(path.read_bytes()[:-5])
    assert refusal(path) == "truncated"


def test_photoshop_bilevel_big_and_transparent(tmp_path):
    path = tmp_path / "a.psd"
    black = (gray_picture() < 100)[..., None]
    path.write_bytes(psd(black, 0, 1, packed_rows=True))
    opened(path, np.where(black[..., 0], 0.0, 100.0))
    with_alpha = np.dstack([gray_picture(), color_picture()[..., 0]])
    path.write_bytes(psd(with_alpha, 1, 8, packed_rows=True, big=True, layers=-1))
    photo = opened(path, lightness_of(gray_picture(), 255))
    assert photo.alpha is not None and (photo.alpha == with_alpha[..., 1]).all()
    path.write_bytes(psd(with_alpha, 1, 8, packed_rows=True))
    assert open_photo(path, LIMITS).alpha is None, "a saved selection is no transparency"


@pytest.mark.parametrize("interlace", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_png_gray_of_every_depth(tmp_path, bits, interlace):
    picture = gray_picture(bits)
    path = tmp_path / "a.png"
    if interlace:
        path.write_bytes(interlaced(picture, bits))
    elif bits < 8:
        path.write_bytes(packed(picture, bits))
    else:
        pillow_file(path, picture, "PNG")
    photo = opened(path, lightness_of(picture, (1 << bits) - 1))
    assert photo.header.bits == bits
    assert photo.bits == (16 if bits == 16 else 8)


def png(width: int, height: int, bits: int, kind: int, data: bytes, interlace: int = 0) -> bytes:
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head = chunk(b"IHDR", size + bytes([bits, kind, 0, 0, interlace]))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def rows_of(picture: np.ndarray, bits: int) -> bytes:
    if bits == 16:
        packed_rows = [row.astype(">u2").tobytes() for row in picture]
    else:
        planes = np.unpackbits(picture[..., None].astype(np.uint8), axis=-1)[..., 8 - bits :]
        packed_rows = [np.packbits(row.reshape(-1)).tobytes() for row in planes]
    return b"".join(b"\0" + row for row in packed_rows)


def packed(picture: np.ndarray, bits: int) -> bytes:
    return png(picture.shape[1], picture.shape[0], bits, 0, rows_of(picture, bits))


def interlaced(picture: np.ndarray, bits: int) -> bytes:
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
    data = b"".join(rows_of(picture[top::down, left::right], bits) for top, down, left, right in passes)
    return png(picture.shape[1], picture.shape[0], bits, 0, data, interlace=1)


def test_png_color_of_16_bits_keeps_them(tmp_path):
    picture = color_picture(16)
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(picture))
    photo = opened(path, lightness_of(picture, 65535))
    assert (photo.bits, photo.header.bits, photo.header.mode) == (16, 16, "RGB")


def test_png_palette_and_transparency(tmp_path):
    palette = Image.fromarray(color_picture()).quantize(100)
    path = pillow_file(tmp_path / "a.png", palette, "PNG")
    assert opened(path, lightness_of(np.asarray(palette.convert("RGB")), 255)).alpha is None
    path = pillow_file(tmp_path / "b.png", palette, "PNG", transparency=5)
    photo = opened(path, lightness_of(np.asarray(palette.convert("RGB")), 255))
    assert (photo.alpha == np.where(np.asarray(palette) == 5, 0, 255)).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_is_kept_unless_opaque(tmp_path, bits):
    full = (1 << bits) - 1
    alpha = np.broadcast_to(np.linspace(0, full, WIDTH).astype(f"uint{bits}"), (HEIGHT, WIDTH))
    picture = np.dstack([color_picture(bits), alpha])
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(picture))
    photo = opened(path, lightness_of(picture[..., :3], full))
    assert photo.header.mode == "RGBA"
    assert photo.alpha is not None and photo.alpha.dtype == picture.dtype
    assert (photo.alpha == alpha).all()
    picture[..., 3] = full
    path.write_bytes(imagecodecs.png_encode(picture))
    assert open_photo(path, LIMITS).alpha is None


# TIFF

COMPRESSIONS = [None, "lzw", "packbits", "deflate", "adobe_deflate", "zstd", "lzma", "png", "jpegxl", "lerc"]
LAYOUTS = {
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
    "planes": {"planarconfig": "separate", "rowsperstrip": 9},
    "big endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_layouts_and_compressions(tmp_path, bits, compression, layout):
    picture = color_picture(bits)
    if (bits, layout) == (16, "big endian") and compression in ("png", "jpegxl", "lerc"):
        pytest.skip("the writer cannot")
    stored = np.moveaxis(picture, -1, 0) if layout == "planes" else picture
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="rgb", compression=compression, **LAYOUTS[layout])
    photo = opened(path, lightness_of(picture, (1 << bits) - 1))
    assert photo.bits == bits
    assert photo.codes.dtype == np.uint16


@pytest.mark.parametrize("compression", ["lzw", "deflate", "zstd"])
@pytest.mark.parametrize("kind", ["gray8", "gray16", "color8", "color16", "float32"])
def test_tiff_predictors(tmp_path, compression, kind):
    bits = 8 if kind.endswith("8") else 16
    picture = color_picture(bits) if kind.startswith("color") else gray_picture(bits)
    stored = (picture / 65535).astype(np.float32) if kind == "float32" else picture
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, compression=compression, predictor=True, rowsperstrip=11)
    photo = opened(path, lightness_of(picture, (1 << bits) - 1))
    assert photo.bits == bits


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f2", "f4", "f8"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_tiff_sample_kinds(tmp_path, kind, byteorder, compression):
    bits = 8 if kind == "u1" else 16
    codes = gray_picture(bits)
    stored = {"f": codes / 65535, "u": codes.astype(np.uint32) << 16 if kind == "u4" else codes}[kind[0]].astype(kind)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="minisblack", byteorder=byteorder, compression=compression)
    photo = opened(path, lightness_of(codes, (1 << bits) - 1), 0.05 if kind == "f2" else 0.01)
    assert photo.bits == bits
    assert photo.codes.dtype.isnative


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_tiff_packed_depths(tmp_path, bits, compression):
    codes = gray_picture(bits)
    path = tmp_path / "a.tif"
    if bits == 1:
        tifffile.imwrite(path, codes.astype(bool), photometric="minisblack", compression=compression)
    else:
        path.write_bytes(raw_tiff(codes, bits))
    photo = opened(path, lightness_of(codes, (1 << bits) - 1))
    assert photo.header.bits == bits
    assert photo.bits == (8 if bits <= 8 else 16)


def raw_tiff(codes: np.ndarray, bits: int, photometric: int = 1, **tags: int) -> bytes:
    """A little-endian TIFF of one uncompressed strip of packed samples."""
    planes = (codes[..., None] >> np.arange(bits)[::-1]) & 1
    data = b"".join(np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in planes)
    height, width = codes.shape
    fields = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height, 279: len(data)}
    fields |= {int(tag.removeprefix("tag")): value for tag, value in tags.items()}
    directory = len(fields).to_bytes(2, "little")
    for tag, value in sorted(fields.items()):
        directory += tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little")
    return b"II*\0" + (8 + len(data)).to_bytes(4, "little") + data + directory + bytes(4)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_tiff_white_is_zero(tmp_path, bits):
    codes = gray_picture(bits)
    full = (1 << bits) - 1
    path = tmp_path / "a.tif"
    path.write_bytes(raw_tiff(full - codes, bits, 0) if bits == 1 else b"")
    if bits > 1:
        tifffile.imwrite(path, full - codes, photometric="miniswhite")
    photo = opened(path, lightness_of(codes, full))
    assert (photo.codes == full - codes).all(), "the stored codes are kept; the table is turned"


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_tiff_fax(tmp_path, compression):
    bilevel = gray_picture() > 128
    path = pillow_file(tmp_path / "a.tif", bilevel, "TIFF", compression=compression)
    photo = opened(path, np.where(bilevel, 100.0, 0.0))
    assert photo.bits == 8


def test_tiff_old_style_lzw(tmp_path):
    codes = gray_picture()
    data, bit_buffer, used = bytearray(), 0, 0
    for position, value in enumerate(codes.reshape(-1).tolist() + [257]):
        for code in [256, value] if position % 250 == 0 else [value]:
            bit_buffer |= code << used  # low bits first, as the first writers of LZW had it
            used += 9
            while used >= 8:
                data.append(bit_buffer & 255)
                bit_buffer, used = bit_buffer >> 8, used - 8
    data.append(bit_buffer)
    plain = raw_tiff(codes, 8, tag259=5, tag279=len(data))
    directory = plain[8 + codes.size :]
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + (8 + len(data)).to_bytes(4, "little") + bytes(data) + directory)
    opened(path, lightness_of(codes, 255))


@pytest.mark.parametrize("photometric", ["ycbcr", "rgb", "gray"])
@pytest.mark.parametrize("layout", ["strips", "tiles"])
def test_jpeg_in_tiff(tmp_path, photometric, layout):
    picture = color_picture() if photometric != "gray" else gray_picture()
    path = tmp_path / "a.tif"
    arguments = {"level": 98} | ({"outcolorspace": "rgb"} if photometric == "rgb" else {})
    tifffile.imwrite(
        path,
        picture,
        photometric="minisblack" if photometric == "gray" else "rgb",
        compression="jpeg",
        compressionargs=arguments,
        subsampling=(2, 2) if photometric == "ycbcr" else (1, 1),
        **({"rowsperstrip": 16} if layout == "strips" else {"tile": (32, 32)}),
    )
    decoded = tifffile.imread(path)
    assert np.abs(decoded.astype(int) - picture).mean() < 8, "the writer did what the test needs"
    opened(path, lightness_of(decoded, 255), 0.6)


def test_subsampled_ycbcr_jpeg_tiff_as_libtiff_writes_it(tmp_path):
    path = pillow_file(
        tmp_path / "a.tif", Image.fromarray(color_picture()).convert("YCbCr"), "TIFF", compression="jpeg"
    )
    opened(path, lightness_of(np.asarray(Image.open(path).convert("RGB")), 255), 1.0)


def test_ycbcr_tiff_without_jpeg(tmp_path):
    ycc = Image.fromarray(color_picture()).convert("YCbCr")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.asarray(ycc), photometric="ycbcr", compression="lzw", subsampling=(1, 1))
    opened(path, lightness_of(np.asarray(ycc.convert("RGB")), 255), 1.0)


def test_lossless_12_bit_jpeg_in_tiff(tmp_path):
    codes = gray_picture(12)
    stream = imagecodecs.jpeg8_encode(codes, lossless=True, bitspersample=12)
    plain = raw_tiff(codes, 8, tag258=12, tag259=7, tag279=len(stream))
    path = tmp_path / "a.tif"
    directory = plain[8 + codes.size :]
    path.write_bytes(b"II*\0" + (8 + len(stream)).to_bytes(4, "little") + stream + directory)
    photo = opened(path, lightness_of(codes, 4095))
    assert photo.bits == 16


def test_tiff_palette(tmp_path):
    indices = gray_picture()
    colors = np.random.default_rng(1).integers(0, 256, (3, 256))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, indices, photometric="palette", colormap=(colors * 257).astype(np.uint16))
    photo = opened(path, lightness_of(np.moveaxis(colors, 0, -1)[indices], 255))
    assert (photo.bits, photo.header.mode) == (8, "P")
    tifffile.imwrite(path, indices, photometric="palette", colormap=(np.stack([np.arange(256)[::-1]] * 3) * 257))
    assert opened(path, lightness_of(255 - indices, 255)).ab is None


@pytest.mark.parametrize("extra", ["assocalpha", "unassalpha", "unspecified"])
@pytest.mark.parametrize("kind", ["gray", "color"])
def test_tiff_extra_samples(tmp_path, extra, kind):
    picture = color_picture(16) if kind == "color" else gray_picture(16)[..., None]
    alpha = np.broadcast_to(np.linspace(20000, 65535, WIDTH).astype(np.uint16), (HEIGHT, WIDTH))
    stored = picture
    if extra == "assocalpha":
        stored = np.round(picture * (alpha[..., None] / 65535)).astype(np.uint16)
    path = tmp_path / "a.tif"
    photometric = "rgb" if kind == "color" else "minisblack"
    samples = np.dstack([stored, alpha])
    tifffile.imwrite(path, samples, photometric=photometric, planarconfig="contig", extrasamples=[extra])
    photo = opened(path, lightness_of(picture.squeeze(), 65535), 0.02)
    if extra == "unspecified":
        assert photo.alpha is None
    else:
        assert photo.header.mode == ("RGBA" if kind == "color" else "LA")
        assert photo.alpha is not None and (photo.alpha == alpha).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("encoding", ["CIELab", "ICCLab"])
def test_tiff_lab_goes_straight_to_lightness(tmp_path, bits, encoding):
    lab = rgb2lab(color_picture() / 255.0)
    full, unit = (255, 1) if bits == 8 else (65535 if encoding == "CIELab" else 65280, 256)
    codes = np.stack([lab[..., 0] / 100 * full, lab[..., 1] * unit, lab[..., 2] * unit], -1).round().astype(int)
    if encoding == "ICCLab":
        codes[..., 1:] += 128 * unit
    path = tmp_path / "a.tif"
    stored = (codes & ((1 << bits) - 1)).astype(f"uint{bits}")
    tifffile.imwrite(path, stored, photometric="cielab" if encoding == "CIELab" else "icclab")
    photo = opened(path, lab[..., 0], 0.2 if bits == 8 else 0.002)
    assert photo.ab is not None
    assert np.abs(photo.ab - lab[..., 1:]).max() < (0.6 if bits == 8 else 0.01)


@pytest.mark.parametrize("bits", [8, 16])
def test_cmyk_without_profile_is_multiplied_out(tmp_path, bits):
    full = (1 << bits) - 1
    ink = np.dstack([color_picture(bits), gray_picture(bits) // 2])
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ink, photometric="separated")
    light = (1 - ink[..., :3] / full) * (1 - ink[..., 3:] / full)
    assert opened(path, lightness_of(light, 1)).bits == bits


def test_tiff_pages_are_pictures_only(tmp_path):
    path = tmp_path / "a.tif"
    pictures = [gray_picture(), 255 - gray_picture(), gray_picture()[::-1]]
    with tifffile.TiffWriter(path) as file:
        file.write(pictures[0][::2, ::2], subfiletype=1)
        file.write(pictures[0], subifds=1)
        file.write(pictures[0][::2, ::2], subfiletype=1)
        file.write(pictures[0] > 99, subfiletype=4)
        file.write(pictures[1])
        file.write(pictures[2], subfiletype=2)
    assert read_header(path, LIMITS).pages == 3
    for page, picture in enumerate(pictures):
        opened(path, lightness_of(picture, 255), page=page)
    assert refusal(path, page=3) == "unsupported"


def test_uncompressed_gray_is_mapped_not_copied(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, gray_picture())
    photo = open_photo(path, LIMITS)
    assert isinstance(photo.codes, np.memmap)
    assert not photo.codes.flags.writeable
    path.unlink()
    assert np.abs(photo.lightness(slice(0, HEIGHT)) - lightness_of(gray_picture(), 255)).max() < 0.01


def test_signed_and_outlying_values_are_stretched(tmp_path):
    path = tmp_path / "a.tif"
    ramp = np.linspace(0, 1, 256).reshape(16, 16)
    for stored in (ramp * 4000 - 1000).round().astype(np.int16), (ramp * 300 - 7).astype(np.float32):
        tifffile.imwrite(path, stored)
        opened(path, lightness_of(ramp, 1), 0.1)


# Color and its meaning


def test_equal_channels_are_gray(tmp_path):
    gray = gray_picture()
    photo = opened(pillow_file(tmp_path / "a.png", np.dstack([gray] * 3), "PNG"), lightness_of(gray, 255))
    assert photo.codes.dtype == np.uint8
    assert (photo.codes == gray).all()
    assert photo.ab is None
    assert photo.header.mode == "RGB"


def test_small_ab_is_the_picture_shrunk(tmp_path):
    big = np.asarray(Image.fromarray(color_picture()).resize((900, 600), Image.Resampling.BICUBIC))
    photo = open_photo(pillow_file(tmp_path / "a.png", big, "PNG"), LIMITS)
    assert photo.ab is not None and photo.ab.shape == (171, 256, 2)
    want = rgb2lab(np.asarray(Image.fromarray(big).resize((256, 171), Image.Resampling.BOX)) / 255.0)[..., 1:]
    assert np.abs(photo.ab - want).mean() < 0.5


def profile_of(name: str) -> bytes:
    d65, d50 = (0.3127, 0.3290, 1), (0.3457, 0.3585, 1)
    if name == "adobe":
        primaries = (0.64, 0.33, 1, 0.21, 0.71, 1, 0.15, 0.06, 1)
        return imagecodecs.cms_profile("rgb", whitepoint=d65, primaries=primaries, gamma=2.19921875)
    if name == "prophoto":
        primaries = (0.7347, 0.2653, 1, 0.1596, 0.8404, 1, 0.0366, 0.0001, 1)
        return imagecodecs.cms_profile("rgb", whitepoint=d50, primaries=primaries, gamma=1.8)
    if name == "srgb":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if name == "dot gain":
        curve = (np.linspace(0, 1, 256) ** 1.75 * 65535).astype(np.uint16)
        return imagecodecs.cms_profile("gray", whitepoint=d50, transferfunction=curve)
    return imagecodecs.cms_profile("gray", whitepoint=d50, gamma={"gray 2.2": 2.2, "gray linear": 1.0}[name])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("name", "gamma"), [("gray 2.2", 2.2), ("gray linear", 1.0), ("dot gain", 1.75)])
def test_gray_profiles(tmp_path, name, gamma, bits):
    codes = gray_picture(bits)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, codes, photometric="minisblack", iccprofile=profile_of(name))
    y = (codes / ((1 << bits) - 1)) ** gamma
    want = np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.292 * y)
    photo = opened(path, want, 0.05)
    assert photo.header.icc_name is not None
    assert (photo.codes == codes).all()


@pytest.mark.parametrize("name", ["adobe", "prophoto", "srgb"])
@pytest.mark.parametrize("bits", [8, 16])
def test_rgb_profiles_agree_with_a_color_engine(tmp_path, name, bits):
    codes = color_picture(bits)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, codes, photometric="rgb", iccprofile=profile_of(name))
    xyz = imagecodecs.cms_transform(
        codes,
        profile_of(name),
        imagecodecs.cms_profile("xyz"),
        colorspace="rgb",
        outcolorspace="xyz",
        outdtype="float64",
        intent=1,
    )
    # D50 luminance differs a little from D65's once white is adapted: compare where it does not, on neutral colors
    photo = open_photo(path, LIMITS)
    assert photo.header.icc_name is not None
    y = xyz[..., 1]
    d50 = np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)
    assert np.abs(photo.lightness(slice(0, HEIGHT)) - d50).mean() < 1.5
    if name == "srgb":
        assert np.abs(photo.lightness(slice(0, HEIGHT)) - lightness_of(codes, (1 << bits) - 1)).max() < 0.05


@pytest.mark.parametrize("bits", [8, 16])
def test_adobe_rgb_by_its_definition(tmp_path, bits):
    """Adobe RGB (1998): gamma 2.19921875, sRGB's white, red and blue; luminance weights from the standard's matrix."""
    codes = color_picture(bits)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, codes, photometric="rgb", iccprofile=profile_of("adobe"))
    y = (codes / ((1 << bits) - 1)) ** 2.19921875 @ [0.29734, 0.62736, 0.07529]
    opened(path, np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.292 * y), 0.05)


def test_equal_channels_under_a_profile(tmp_path):
    gray = gray_picture()
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.dstack([gray] * 3), photometric="rgb", iccprofile=profile_of("adobe"))
    y = (gray / 255) ** 2.19921875
    photo = opened(path, np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.292 * y), 0.05)
    assert photo.ab is None


@pytest.mark.parametrize("profile", [b"", b"garbage" * 40, profile_of("adobe"), profile_of("gray 2.2")[:150]])
def test_broken_or_foreign_profile_is_ignored(tmp_path, profile):
    path = pillow_file(tmp_path / "a.png", gray_picture(), "PNG", icc_profile=profile)
    photo = opened(path, lightness_of(gray_picture(), 255))
    assert photo.header.icc_name is None
    assert photo.header.icc is None


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_profile_is_found_in_every_container(tmp_path, format):
    path = pillow_file(tmp_path / "a", color_picture(), format, icc_profile=profile_of("adobe"))
    header = read_header(path, LIMITS)
    assert header.icc == profile_of("adobe")
    assert header.icc_name


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation(tmp_path, orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = np.repeat(np.repeat(color_picture(), 8, 0), 8, 1)
    picture = np.dstack([picture, np.repeat(np.repeat(gray_picture() | 1, 8, 0), 8, 1)])
    if format == "JPEG":
        picture = picture[..., :3]
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True, "exact": True}}.get(format, {})
    path = pillow_file(tmp_path / "a", picture, format, exif=exif, **options)
    transpose = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # what Pillow's exif_transpose does
    stored = Image.fromarray(picture if format == "TIFF" else np.asarray(Image.open(path)))  # TIFF: already turned
    upright = np.asarray(stored.transpose(transpose[orientation]) if orientation > 1 else stored)
    photo = opened(path, lightness_of(upright[..., :3], 255), 0.6 if format == "JPEG" else 0.01)
    assert photo.header.orientation == orientation
    assert photo.header.size == (photo.width, photo.height)
    assert photo.codes.flags.c_contiguous
    if format != "JPEG":
        assert (photo.alpha == upright[..., 3]).all()
    assert photo.ab is not None
    assert photo.ab.shape[:2] == ((256, 185) if orientation >= 5 else (185, 256))
    scaled = np.asarray(Image.fromarray(upright[..., :3]).resize(photo.ab.shape[1::-1], Image.Resampling.BOX))
    assert np.abs(photo.ab - rgb2lab(scaled / 255.0)[..., 1:]).mean() < 2


def test_broken_exif_never_fails_a_photo(tmp_path):
    path = pillow_file(tmp_path / "a.jpg", gray_picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xee" * 50)
    assert open_photo(path, LIMITS).header.orientation == 1


# Refusals


@pytest.mark.parametrize(
    ("content", "error_class"),
    [
        (b"", "empty"),
        (b"\xff", "not_an_image"),
        (b"<!doctype html><html>", "not_an_image"),
        (bytes(1000), "not_an_image"),
        (b"%PDF-1.4", "unsupported"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "unsupported"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"\xff\xd8\xff", "truncated"),
        (b"II*\0\x08\0\0\0", "truncated"),
        (b"GIF89a", "corrupt"),
    ],
)
def test_what_is_no_picture(tmp_path, content, error_class):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    assert refusal(path) == error_class
    with pytest.raises(Rejected):
        read_header(path, LIMITS)


def test_a_missing_file_is_not_a_rejection(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_photo(tmp_path / "nothing.jpg", LIMITS)


def test_rejection_survives_pickling():
    error = pickle.loads(pickle.dumps(Rejected("corrupt", "why and what to do")))
    assert (error.error_class, str(error)) == ("corrupt", "why and what to do")


def jpeg_header_of(width: int, height: int) -> bytes:
    jpeg = bytearray(simplejpeg.encode_jpeg(gray_picture()[..., None], colorspace="GRAY"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(jpeg)


@pytest.mark.parametrize(
    "content",
    [
        png(40_000, 40_000, 8, 0, b""),
        jpeg_header_of(40_000, 40_000),
        raw_tiff(gray_picture(), 8, tag256=40_000, tag257=40_000),
        b"BM" + bytes(8) + b"\x36\0\0\0\x28\0\0\0" + (40_000).to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(24),
    ],
    ids=["png", "jpeg", "tiff", "bmp"],
)
def test_too_many_pixels_are_refused_before_decoding(tmp_path, content, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(content)
    decoded = []
    for module in (formats.jpeg, formats.pillow, formats.png, formats.psd, formats.tiff):
        monkeypatch.setattr(module, "decode", lambda path, *rest: decoded.append(path))
    assert refusal(path) == "too_large"
    assert not decoded


def test_a_tiny_file_that_claims_a_huge_picture_is_refused(tmp_path):
    path = tmp_path / "a.gif"
    content = bytearray(pillow_file(path, gray_picture(), "GIF").read_bytes())
    content[6:10] = struct.pack("<HH", 30_000, 30_000)
    path.write_bytes(content)
    assert refusal(path) == "corrupt"


def test_damaged_fax_is_refused(tmp_path):
    bilevel = gray_picture() > 128
    bilevel[::3, ::5] ^= True
    path = pillow_file(tmp_path / "a.tif", bilevel, "TIFF", compression="group4")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    content[offset + count // 3 : offset + count // 3 + 20] = b"\x5a" * 20
    path.write_bytes(content)
    assert refusal(path) == "corrupt"


@pytest.mark.parametrize("rows", [16, 10_000])
def test_fax_that_two_decoders_fill_alike_is_refused(tmp_path, rows):
    bilevel = gray_picture() > 128
    bilevel[::3, ::5] ^= True
    path = pillow_file(tmp_path / "a.tif", bilevel, "TIFF", compression="group4", tiffinfo={278: rows})
    opened(path, np.where(bilevel, 100.0, 0.0))
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    content[offset + count // 3 : offset + count] = b"\0" * (count - count // 3)
    path.write_bytes(content)
    assert refusal(path) == "corrupt"


def test_a_size_that_is_no_number_is_refused(tmp_path):
    content = bytearray(raw_tiff(gray_picture(), 8))
    width = content.index(b"\0\1\4\0\1\0\0\0")
    content[width + 2 : width + 12] = b"\3\0\2\0\0\0" + struct.pack("<HH", 83, 83)
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    assert refusal(path) == "corrupt"


def test_limits_are_the_callers(tmp_path):
    path = pillow_file(tmp_path / "a.png", gray_picture(), "PNG")
    open_photo(path, Limits(pixels=HEIGHT * WIDTH, file_bytes=path.stat().st_size))
    assert refusal(path, Limits(pixels=HEIGHT * WIDTH - 1)) == "too_large"
    assert refusal(path, Limits(file_bytes=path.stat().st_size - 1)) == "too_large"


def big_picture() -> np.ndarray:
    return np.asarray(Image.fromarray(color_picture()).resize((400, 300))) // 2 + np.random.default_rng(0).integers(
        0, 99, (300, 400, 3), dtype=np.uint8
    )


CUT = {
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "cmyk jpeg": ("JPEG", {"mode": "CMYK"}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "avif": ("AVIF", {}),
    "jpeg 2000": ("JPEG2000", {}),
}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99, -2])
@pytest.mark.parametrize("kind", CUT)
def test_a_cut_file_is_refused(tmp_path, kind, share):
    format, options = CUT[kind]
    options = dict(options)
    image = Image.fromarray(big_picture()).convert(options.pop("mode", "RGB"))
    path = pillow_file(tmp_path / "a", image, format, **options)
    content = path.read_bytes()
    end = len(content) + share if share < 0 else int(len(content) * share)
    if format == "GIF" and share < 0:
        return  # the trailer byte alone
    path.write_bytes(content[:end])
    assert refusal(path) in ("truncated", "corrupt")


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd", "jpeg", "png", "jpeg2000"])
@pytest.mark.parametrize("tail", ["cut", "zeros"])
def test_a_damaged_tiff_is_refused(tmp_path, compression, share, tail):
    """The directory is whole; strips are cut off at the end of the file, or shorter than they should be."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, big_picture(), photometric="rgb", compression=compression, rowsperstrip=32)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        offset, count = page.dataoffsets[-1], page.databytecounts[-1]
        counts = page.tags[279]
        assert offset + count >= len(content) - 4, "the writer puts pixels last"
    if tail == "cut":
        path.write_bytes(content[: offset + int(count * share)])
    else:
        if compression is None:
            pytest.skip("the count of an uncompressed strip is not needed")
        width = counts.dtype.name.startswith("LONG") and 4 or 2
        position = counts.valueoffset + (counts.count - 1) * width
        short = int(count * share).to_bytes(width, "little")
        path.write_bytes(content[:position] + short + content[position + width :])
    assert refusal(path) in ("truncated", "corrupt")


def test_tiff_with_strips_never_written_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, big_picture(), photometric="rgb", compression="deflate", rowsperstrip=32)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        for tag in (tags[273], tags[279]):
            width = 4 if tag.dtype.name.startswith("LONG") else 2
            content[tag.valueoffset + 2 * width : tag.valueoffset + 3 * width] = bytes(width)
    path.write_bytes(content)
    assert refusal(path) == "truncated"


def test_progressive_jpeg_that_lost_scans_is_refused(tmp_path):
    content = pillow_file(tmp_path / "a.jpg", big_picture(), "JPEG", progressive=True).read_bytes()
    starts = [i for i in range(len(content)) if content[i : i + 2] == b"\xff\xda"]
    assert len(starts) > 4
    path = tmp_path / "b.jpg"
    for keep in (1, len(starts) - 1):
        tables = content.rindex(b"\xff\xc4", 0, starts[keep])
        path.write_bytes(content[:tables] + b"\xff\xd9")
        Image.open(path).load()  # the usual decoder fills and says nothing
        assert refusal(path) == "truncated"


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_damage_in_the_middle_is_refused(tmp_path, kind):
    path = pillow_file(tmp_path / "a", big_picture(), "JPEG" if kind == "jpeg" else "PNG")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = b"\xff\x00" * 20 if kind == "jpeg" else b"\x55" * 40
    path.write_bytes(content)
    assert refusal(path) == "corrupt"


def test_what_follows_the_end_of_a_picture_is_ignored(tmp_path):
    for format in ("JPEG", "PNG"):
        path = pillow_file(tmp_path / "a", gray_picture(), format)
        path.write_bytes(path.read_bytes() + b"PK\3\4 something else \xff\xd8\xff" * 50)
        open_photo(path, LIMITS)


def test_directories_that_loop(tmp_path):
    path = tmp_path / "a.tif"
    content = bytearray(raw_tiff(gray_picture(), 8))
    content[-4:] = content[4:8]
    path.write_bytes(content)
    assert opened(path, lightness_of(gray_picture(), 255)).header.pages == 1


# Real files


def test_every_scan_of_the_archive_opens_at_its_own_size(data):
    import csv

    rows = list(csv.DictReader((data / "archive" / "sources.csv").open()))
    assert rows
    for row in rows:
        path = data / "archive" / row["file"]
        photo = open_photo(path, LIMITS)
        if int(row["width"]):
            assert photo.header.width == int(row["width"]), row["file"]
            assert photo.header.height == int(row["height"]), row["file"]
        lightness = photo.lightness(slice(0, photo.height))
        assert 0 <= lightness.min() <= lightness.max() <= 100.001


def test_hostile_files_open_or_are_refused(data):
    outcomes = {"opened": 0}
    for path in sorted((data / "hostile").iterdir()):
        try:
            photo = open_photo(path, LIMITS)
            assert photo.lightness(slice(0, 1)).shape == (1, photo.width)
            outcomes["opened"] += 1
        except Rejected as error:
            outcomes[error.error_class] = outcomes.get(error.error_class, 0) + 1
    assert outcomes["opened"] >= 80
    assert {"truncated", "corrupt", "too_large", "unsupported", "not_an_image"} <= set(outcomes)


# Memory


def peak_per_pixel(path: Path, pixels: int) -> float:
    """Most bytes per pixel held while the photo is opened, beyond what a process holds that opens a tiny one."""
    script = """
import re, sys
from pathlib import Path
from colorize_core.photo import open_photo, Limits
open_photo(Path(sys.argv[1]), Limits())
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""  # not ru_maxrss: a child inherits that of the parent, which holds the picture
    tiny = pillow_file(path.with_name("tiny.png"), color_picture(), "PNG")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    peaks = [
        int(subprocess.run([sys.executable, "-c", script, p], capture_output=True, check=True, env=environment).stdout)
        for p in (tiny, path)
    ]
    return (peaks[1] - peaks[0]) * 1024 / pixels


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "most"), [("gray", 0.3), ("gray deflate", 1.3), ("gray jpeg", 1.3), ("color", 5.4), ("color jpeg", 5.4)]
)
def test_memory_of_100_megapixels(tmp_path, kind, most):
    height, width = 8000, 12500
    row = np.linspace(0, 255, width).astype(np.uint8)
    picture = np.broadcast_to(row, (height, width))
    if kind.startswith("color"):
        picture = np.stack([picture, picture[:, ::-1], picture // 2], -1)
    path = tmp_path / "a"
    if kind.endswith("jpeg"):
        stored = np.ascontiguousarray(picture if picture.ndim == 3 else picture[..., None])
        path.write_bytes(simplejpeg.encode_jpeg(stored, colorspace="RGB" if picture.ndim == 3 else "GRAY"))
    else:
        compression = "deflate" if kind.endswith("deflate") else None
        photometric = "rgb" if picture.ndim == 3 else "minisblack"
        tifffile.imwrite(path, picture, photometric=photometric, compression=compression, rowsperstrip=64)
    assert peak_per_pixel(path, height * width) < most
