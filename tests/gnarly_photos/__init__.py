"""Nasty photographs that several tests share: small, made in code, the same bytes every time.

``GNARLY`` maps a name to a ``Gnarly``: the file name to store it under (an object key: some hold folders, spaces,
percent signs, dots), the bytes, and what becomes of it: ``"opens"``, or the error class it is rejected with.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, Literal, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms

WIDTH, HEIGHT = 96, 64


class Gnarly(NamedTuple):
    filename: str
    content: bytes
    expected: str

    @property
    def opens(self) -> bool:
        return self.expected == "opens"


def gray(bits: int = 8) -> np.ndarray:
    """A soft ramp with some grain, (64, 96) uint8 or uint16."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    grain = np.random.default_rng(7).uniform(-0.05, 0.05, x.shape)
    value = np.clip(0.5 + 0.4 * np.sin(x / 17) * np.cos(y / 11) + grain, 0, 1)
    return np.rint(value * (2**bits - 1)).astype(f"uint{bits}")


def rgb(bits: int = 8) -> np.ndarray:
    """A colorful picture, (64, 96, 3) uint8 or uint16."""
    plane = gray(bits)
    return np.dstack([plane, np.roll(plane, 20, axis=1), plane[::-1]])


def pillow(pixels: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg(pixels: np.ndarray | Image.Image | None = None, **options: Any) -> bytes:
    return pillow(gray() if pixels is None else pixels, "JPEG", quality=90, **options)


def png(pixels: np.ndarray | Image.Image | None = None, **options: Any) -> bytes:
    return pillow(gray() if pixels is None else pixels, "PNG", **options)


def tiff(
    pixels: np.ndarray | None = None,
    *,
    byteorder: Literal["<", ">"] = "<",
    bigtiff: bool = False,
    pages: int = 1,
    **options: Any,
) -> bytes:
    pixels = gray() if pixels is None else pixels
    options.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=byteorder, bigtiff=bigtiff) as writer:
        for _ in range(pages):
            writer.write(pixels, metadata=None, software=False, **options)
    return buffer.getvalue()


def raw_tiff(tags: dict[int, tuple[int, list[int]]], data: bytes = b"", next_ifd: int = 0) -> bytes:
    """A little-endian TIFF of one IFD written by hand: tag -> (type, values), data right after the header at byte 8.

    Types are 1 (byte), 3 (short) and 4 (long); the values of a tag must fit in its four bytes.
    """
    size = {1: 1, 3: 2, 4: 4}
    code = {1: "B", 3: "H", 4: "I"}
    data += bytes(len(data) % 2)
    ifd = struct.pack("<H", len(tags))
    for tag, (kind, values) in sorted(tags.items()):
        assert len(values) * size[kind] <= 4
        packed = struct.pack(f"<{len(values)}{code[kind]}", *values)
        ifd += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + ifd + struct.pack("<I", next_ifd)


def gray_tags(width: int = WIDTH, height: int = HEIGHT, **changes: int) -> dict[int, tuple[int, list[int]]]:
    """The tags of an uncompressed 8-bit gray TIFF of one strip whose pixels begin at byte 8."""
    names = {"bits": 258, "compression": 259, "photometric": 262, "offset": 273, "count": 279}
    values = {"bits": 8, "compression": 1, "photometric": 1, "offset": 8, "count": width * height} | changes
    tags = {256: (4, [width]), 257: (4, [height]), 277: (3, [1]), 278: (4, [height])}
    return tags | {names[name]: (4 if name in ("offset", "count") else 3, [value]) for name, value in values.items()}


def png_chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) if crc is None else crc)
    )


def raw_png(
    width: int,
    height: int,
    rows: bytes,
    *,
    bits: int = 8,
    color: int = 0,
    interlaced: bool = False,
    extra: bytes = b"",
    data: bytes | None = None,
) -> bytes:
    """A PNG written by hand; ``rows`` with their filter bytes, or ``data`` as it stands in IDAT."""
    header = struct.pack(">2I5B", width, height, bits, color, 0, 0, int(interlaced))
    body = zlib.compress(rows) if data is None else data
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_rows(pixels: np.ndarray) -> bytes:
    """Rows of bytes, each behind filter type 0."""
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def interlaced_png() -> bytes:
    """Adam7, as old web exports have it."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b"".join(png_rows(gray()[y::dy, x::dx]) for y, x, dy, dx in passes)
    return raw_png(WIDTH, HEIGHT, rows, interlaced=True)


def png_encode(pixels: np.ndarray) -> bytes:
    """A PNG that keeps 16 bits of every channel, which Pillow cannot write."""
    return bytes(imagecodecs.png_encode(pixels))


def packed_png(bits: int) -> bytes:
    """Gray of 1, 2 or 4 bits, several pixels to the byte."""
    codes = (gray() >> (8 - bits)).astype(np.uint8)
    unpacked = np.unpackbits(codes[..., None], axis=-1)[..., -bits:]
    return raw_png(WIDTH, HEIGHT, png_rows(np.packbits(unpacked.reshape(HEIGHT, -1), axis=-1)), bits=bits)


def png_bad_checksum() -> bytes:
    """The checksum of the pixels is wrong."""
    content = bytearray(png())
    end = content.rindex(b"IEND") - 4
    content[end - 2] ^= 0xFF
    return bytes(content)


def png_text_bomb() -> bytes:
    """A comment of a few kilobytes that unpacks to 64 MB; the pixels are sound."""
    comment = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20), 9))
    return raw_png(WIDTH, HEIGHT, png_rows(gray()), extra=comment)


def exif_segment(body: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(body) + 8) + b"Exif\0\0" + body


def with_segment(content: bytes, segment: bytes) -> bytes:
    """A JPEG with a marker segment put right behind its start."""
    return content[:2] + segment + content[2:]


def exif_with_lying_thumbnail() -> bytes:
    """The EXIF thumbnail shows another picture, lying on its side."""
    thumbnail = jpeg(255 - np.rot90(gray()).copy())
    tags = {0x0103: (3, [6]), 0x0201: (4, [26 + 2 + 3 * 12 + 4]), 0x0202: (4, [len(thumbnail)])}
    ifd0 = struct.pack("<H", 1) + struct.pack("<HHIHH", 0x0112, 3, 1, 1, 0) + struct.pack("<I", 26)
    ifd1 = struct.pack("<H", len(tags))
    for tag, (kind, (value,)) in tags.items():
        ifd1 += struct.pack("<HHII", tag, kind, 1, value)
    body = struct.pack("<2sHI", b"II", 42, 8) + ifd0 + ifd1 + struct.pack("<I", 0) + thumbnail
    return with_segment(jpeg(), exif_segment(body))


def exif_looping() -> bytes:
    """The first EXIF directory names itself as the next."""
    ifd = struct.pack("<H", 1) + struct.pack("<HHIHH", 0x0112, 3, 1, 1, 0) + struct.pack("<I", 8)
    return with_segment(jpeg(), exif_segment(struct.pack("<2sHI", b"II", 42, 8) + ifd))


def oriented(value: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = value
    return jpeg(exif=block.tobytes())


def jpeg_with_size(width: int, height: int) -> bytes:
    """A gray JPEG whose frame header claims another size."""
    content = bytearray(jpeg())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">2H", height, width)
    return bytes(content)


def jpeg_scrambled() -> bytes:
    """Sound to the last byte but for the middle of the scan, overwritten with restart markers that cannot be there."""
    content = bytearray(jpeg())
    middle = (content.index(b"\xff\xda") + len(content)) // 2
    content[middle : middle + 64] = b"\xff\xd5" * 32
    return bytes(content)


def srgb_profile() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]  # without the time of its making


def animated(format: str) -> bytes:
    frames = [Image.fromarray(np.roll(gray(), 10 * n, axis=1)) for n in range(3)]
    return pillow(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


def cmyk() -> np.ndarray:
    """Ink coverage, (64, 96, 4) uint8."""
    return np.dstack([rgb() // 2, gray() // 3])


def cut(content: bytes, share: float) -> bytes:
    """The beginning of a file: what a copy that was cut short leaves."""
    return content[: int(len(content) * share)]


def _whole() -> dict[str, Gnarly]:
    """Unusual, and sound: every one of them opens."""
    palette = Image.fromarray(rgb()).quantize(16)
    one_bit = Image.fromarray(gray() > 127)
    clear = np.dstack([gray(), np.where(gray() > 100, 255, 0).astype(np.uint8)])
    offset = (np.roll(gray(), 9).astype(np.int16) - 128) // 4
    lab = np.dstack([gray(), offset, offset]).astype(np.uint8)  # a and b are signed bytes
    sound = {
        "one pixel, PNG": ("one.png", png(np.full((1, 1), 200, np.uint8))),
        "one pixel, JPEG": ("one.jpg", jpeg(np.full((1, 1), 200, np.uint8))),
        "one pixel, TIFF": ("one.tif", tiff(np.full((1, 1), 200, np.uint8))),
        "one row": ("row.png", png(np.arange(1000, dtype=np.uint16).astype(np.uint8)[None])),
        "one column": ("column.jpg", jpeg(np.arange(1000, dtype=np.uint16).astype(np.uint8)[:, None])),
        "JPEG called TIFF": ("wrong/scan.tif", jpeg()),
        "TIFF called JPEG": ("wrong/scan.jpg", tiff()),
        "PNG without extension": ("wrong/scan", png()),
        "progressive JPEG": ("progressive.jpg", jpeg(progressive=True)),
        "JPEG with restart markers": ("restart.jpg", jpeg(restart_marker_rows=1)),
        "JPEG with a zip behind it": ("zip.jpg", jpeg() + b"PK\x03\x04" + bytes(200)),
        "JPEG 4:2:0 of odd size": ("odd.jpg", jpeg(rgb()[:-1, :-1].copy(), subsampling="4:2:0")),
        "JPEG stored as RGB": ("keep-rgb.jpg", jpeg(rgb(), keep_rgb=True)),
        "CMYK JPEG without profile": ("cmyk.jpg", jpeg(Image.frombytes("CMYK", (WIDTH, HEIGHT), cmyk().tobytes()))),
        "CMYK TIFF without profile": ("cmyk.tif", tiff(cmyk(), photometric="separated")),
        "several pictures in one JPEG": ("phone.jpg", animated("MPO")),
        "EXIF of noise": ("exif/noise.jpg", with_segment(jpeg(), exif_segment(b"\xde\xad\xbe\xef" * 9))),
        "EXIF cut short": ("exif/short.jpg", with_segment(jpeg(), exif_segment(b"II*\0\x08\0\0\0\xff\xff"))),
        "EXIF that loops": ("exif/loop.jpg", exif_looping()),
        "EXIF with a lying thumbnail": ("exif/thumbnail.jpg", exif_with_lying_thumbnail()),
        "EXIF orientation 0": ("exif/orientation-0.jpg", oriented(0)),
        "EXIF orientation 6": ("exif/orientation-6.jpg", oriented(6)),
        "EXIF orientation 9": ("exif/orientation-9.jpg", oriented(9)),
        "profile of noise": ("icc/noise.jpg", jpeg(icc_profile=b"not a profile " * 20)),
        "profile cut short": ("icc/short.png", png(icc_profile=srgb_profile()[:200])),
        "RGB profile in a gray photo": ("icc/rgb-in-gray.jpg", jpeg(icc_profile=srgb_profile())),
        "RGB profile in a CMYK photo": (
            "icc/rgb-in-cmyk.jpg",
            jpeg(Image.frombytes("CMYK", (WIDTH, HEIGHT), cmyk().tobytes()), icc_profile=srgb_profile()),
        ),
        "1-bit PNG": ("1-bit.png", png(one_bit)),
        "2-bit PNG": ("2-bit.png", packed_png(2)),
        "4-bit PNG": ("4-bit.png", packed_png(4)),
        "1-bit TIFF, Group 4": ("group4.tif", pillow(one_bit, "TIFF", compression="group4")),
        "palette": ("palette.png", png(palette)),
        "palette with transparency": ("palette-clear.png", png(palette, transparency=bytes([0, 128] + [255] * 14))),
        "palette TIFF": ("palette.tif", pillow(palette, "TIFF")),
        "gray PNG with a transparent tone": ("clear-tone.png", png(transparency=int(gray()[0, 0]))),
        "gray PNG with alpha": ("alpha.png", png(clear)),
        "16-bit gray PNG": ("gray16.png", png_encode(gray(16))),
        "16-bit RGB PNG": ("rgb16.png", png_encode(rgb(16))),
        "16-bit RGBA PNG": ("rgba16.png", png_encode(np.dstack([rgb(16), gray(16)]))),
        "interlaced PNG": ("interlaced.png", interlaced_png()),
        "PNG with a text bomb": ("text-bomb.png", png_text_bomb()),
        "animated PNG": ("animated.png", animated("PNG")),
        "animated GIF": ("animated.gif", animated("GIF")),
        "animated WebP": ("animated.webp", animated("WEBP")),
        "WebP": ("scan.webp", pillow(rgb(), "WEBP", lossless=True)),
        "JPEG 2000": ("scan.jp2", pillow(gray(), "JPEG2000")),
        "BMP": ("scan.bmp", pillow(rgb(), "BMP")),
        "BigTIFF": ("big.tif", tiff(bigtiff=True)),
        "big-endian 16-bit TIFF": ("motorola.tif", tiff(gray(16), byteorder=">")),
        "tiled TIFF": ("tiled.tif", tiff(tile=(32, 32), compression="deflate")),
        "planar TIFF": (
            "planar.tif",
            tiff(np.moveaxis(rgb(), -1, 0).copy(), photometric="rgb", planarconfig="separate"),
        ),
        "16-bit RGB TIFF": ("rgb16.tif", tiff(rgb(16), compression="lzw", predictor=True)),
        "MinIsWhite TIFF": ("negative.tif", tiff(255 - gray(), photometric="miniswhite")),
        "Lab TIFF": ("lab.tif", tiff(lab, photometric="cielab")),
        "float TIFF": ("float.tif", tiff((gray() / 255).astype(np.float32))),
        "TIFF with alpha": ("alpha.tif", tiff(np.dstack([rgb(), gray()]), extrasamples=["unassalpha"])),
        "JPEG in TIFF": ("jpeg-in.tif", tiff(rgb(), compression="jpeg", photometric="ycbcr", subsampling=(1, 1))),
        "TIFF of three pages": ("pages.tif", tiff(pages=3)),
        "TIFF on its side": ("sideways.tif", tiff(extratags=[(274, 3, 1, 6, True)])),
        "TIFF whose pages loop": ("loop.tif", raw_tiff(gray_tags(), gray().tobytes(), next_ifd=8 + WIDTH * HEIGHT)),
        "unicode, spaces, percent, dots": ("Zürich – 50%25 off/写真 #1?.v2..final.JPG", jpeg()),
        "a name of dots": ("...hidden/..two dots.png", png()),
        "a composed and a decomposed accent": ("é/e\u0301.jpg", jpeg()),
        "quotes and brackets": ("a'b\"c [1] {x} $y & z;.tif", tiff()),
    }
    return {name: Gnarly(filename, content, "opens") for name, (filename, content) in sound.items()}


def _broken() -> dict[str, Gnarly]:
    """Not to be colored, each for the reason given."""
    broken = {
        "nothing": ("empty.jpg", b"", "empty"),
        "zeros": ("zeros.tif", bytes(4096), "not_an_image"),
        "text": ("notes.jpg", b"The negatives of this box are in the cold store.\n", "not_an_image"),
        "error page": ("page.png", b"<!DOCTYPE html><html><h1>503 Slow Down</h1></html>", "not_an_image"),
        "JPEG without end marker": ("cut/end.jpg", jpeg()[:-2], "truncated"),
        "PNG without end chunk": ("cut/end.png", png()[:-12], "truncated"),
        "PNG signature alone": ("cut/signature.png", png()[:8], "truncated"),
        "PNG header cut": ("cut/header.png", png()[:20], "truncated"),
        "TIFF header alone": ("cut/header.tif", tiff()[:8], "truncated"),
        "TIFF directory cut": ("cut/directory.tif", raw_tiff(gray_tags(), gray().tobytes())[:-40], "truncated"),
        "TIFF strip past the end": ("cut/strip.tif", raw_tiff(gray_tags(offset=1 << 20)), "truncated"),
        "huge PNG": ("huge.png", raw_png(40_000, 40_000, bytes(40_001)), "too_large"),
        "huge JPEG": ("huge.jpg", jpeg_with_size(65_500, 65_500), "too_large"),
        "huge TIFF": ("huge.tif", raw_tiff(gray_tags(60_000, 60_000)), "too_large"),
        "wide PNG": ("wide.png", raw_png(2_000_000_000, 1, bytes(64)), "too_large"),
        "PNG without width": ("flat.png", raw_png(0, HEIGHT, bytes(HEIGHT)), "corrupt"),
        "TIFF without height": ("flat.tif", raw_tiff(gray_tags(WIDTH, 0)), "corrupt"),
        "PNG with a bad checksum": ("checksum.png", png_bad_checksum(), "corrupt"),
        "PNG of noise": ("noise.png", raw_png(WIDTH, HEIGHT, b"", data=b"\xde\xad\xbe\xef" * 99), "corrupt"),
        "scrambled JPEG": ("scrambled.jpg", jpeg_scrambled(), "corrupt"),
        "TIFF of noise": (
            "noise.tif",
            raw_tiff(gray_tags(compression=8, count=400), b"\xde\xad\xbe\xef" * 100),
            "corrupt",
        ),
        "unknown TIFF compression": (
            "compression.tif",
            raw_tiff(gray_tags(compression=31_337), gray().tobytes()),
            "unsupported",
        ),
    }
    whole = {
        "jpg": (jpeg(), "truncated"),
        "progressive.jpg": (jpeg(progressive=True), "truncated"),
        "png": (png(), "truncated"),
        "strips.tif": (tiff(rowsperstrip=8), "truncated"),
        "lzw.tif": (tiff(rowsperstrip=8, compression="lzw"), "truncated"),
        "gif": (pillow(gray(), "GIF"), "truncated"),
        "bmp": (pillow(gray(), "BMP"), "truncated"),
        # Their decoders do not tell a file cut short from a damaged one.
        "webp": (pillow(gray(), "WEBP", lossless=True), "corrupt"),
        "jp2": (pillow(gray(), "JPEG2000"), "corrupt"),
    }
    for extension, (content, expected) in whole.items():
        for percent in (50, 75, 95):
            name = f"{percent}% of {extension}"
            broken[name] = (f"cut/{percent}.{extension}", cut(content, percent / 100), expected)
    return {name: Gnarly(*values) for name, values in broken.items()}


GNARLY: dict[str, Gnarly] = _whole() | _broken()
