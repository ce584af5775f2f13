"""A small archive of real photographs: ``python -m demo.archive FOLDER``.

The pictures are those inside the scikit-image package, all free to use, turned to black and white and saved the way
archives hold their scans: several formats, bit depths and metadata, pages, a print gone brown, a photograph that is
already in color, and three files that are broken. The same bytes come out every time, and a file that is already
there with the same bytes is not touched, so that a second demo run finds its work done.
"""

from __future__ import annotations

import argparse
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import tifffile
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational
from skimage import color, data

from demo.cmyk_profile import cmyk_profile

EXIF = {"description": 270, "orientation": 274, "x_dpi": 282, "y_dpi": 283, "unit": 296, "artist": 315}


def lightness(picture: np.ndarray) -> np.ndarray:
    """The gray photograph with the lightness of an RGB one, (H, W) float64 in 0..1."""
    lab = color.rgb2lab(picture)
    lab[..., 1:] = 0
    return color.lab2rgb(lab)[..., 1]


def gray8(picture: np.ndarray) -> np.ndarray:
    """Like ``lightness``, (H, W) uint8. A gray picture comes back as it is."""
    return picture if picture.ndim == 2 else np.rint(lightness(picture) * 255).astype(np.uint8)


def exif(dpi: int = 300, **values: str | int) -> bytes:
    """An EXIF block with the resolution and any of the tags in ``EXIF``."""
    block = Image.Exif()
    resolution = {"x_dpi": IFDRational(dpi), "y_dpi": IFDRational(dpi), "unit": 2}
    for name, value in (resolution | values).items():
        block[EXIF[name]] = value
    return block.tobytes()


def xmp(title: str, creator: str) -> bytes:
    """An XMP packet that says what the photograph shows and who took it."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{escape(title)}</rdf:li></rdf:Alt></dc:title>'
        f"<dc:creator><rdf:Seq><rdf:li>{escape(creator)}</rdf:li></rdf:Seq></dc:creator>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def iptc(title: str, creator: str) -> bytes:
    """IPTC-IIM records: UTF-8, object name, by-line."""
    fields = [(1, 90, b"\x1b%G"), (2, 5, title.encode()), (2, 80, creator.encode())]
    return b"".join(struct.pack(">BBBH", 0x1C, record, number, len(v)) + v for record, number, v in fields)


def photoshop_segment(records: bytes) -> bytes:
    """The JPEG APP13 segment that carries IPTC records."""
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records + bytes(len(records) % 2)
    payload = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload


def encode(pixels: np.ndarray | Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    """Save with Pillow and give the bytes; JPEG in good quality unless another format is asked for."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    if format == "JPEG":
        options["quality"] = 92
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def encode_tiff(*pages: np.ndarray, dpi: int, **options) -> bytes:
    """Save each array as a page of one TIFF and give the bytes."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page in pages:
            writer.write(
                page, photometric="minisblack", resolution=(dpi, dpi), resolutionunit="INCH", metadata=None,
                software=False, **options,
            )  # fmt: skip
    return buffer.getvalue()


def astronaut() -> bytes:
    """8-bit gray JPEG with EXIF, XMP and IPTC."""
    title, creator = "Eileen Collins in her flight suit", "NASA"
    records = photoshop_segment(iptc(title, creator))
    block = exif(description=title, artist=creator)
    return encode(gray8(data.astronaut()), exif=block, xmp=xmp(title, creator), extra=records, dpi=(300, 300))


def photographer() -> bytes:
    """Progressive gray JPEG."""
    return encode(gray8(data.camera()), progressive=True, dpi=(240, 240))


def cat() -> bytes:
    """16-bit gray TIFF."""
    return encode_tiff(np.rint(lightness(data.chelsea()) * 65535).astype(np.uint16), dpi=600)


def rocket() -> bytes:
    """8-bit gray TIFF, LZW, with XMP and IPTC."""
    title, creator = "Falcon 9 lifts off with DSCOVR", "SpaceX"
    packet, records = xmp(title, creator), iptc(title, creator)
    tags = [(700, 1, len(packet), packet, True), (33723, 7, len(records), records, True)]
    return encode_tiff(gray8(data.rocket()), dpi=400, compression="lzw", predictor=True, extratags=tags)


def album() -> bytes:
    """TIFF of three pages."""
    return encode_tiff(data.moon(), data.coins(), data.brick(), dpi=300, compression="deflate")


def press_print() -> bytes:
    """CMYK JPEG with its profile, as a press plate of a gray photograph."""
    to_press = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(cmyk_profile())), "RGB", "CMYK"
    )
    plate = to_press.apply(Image.fromarray(gray8(data.stereo_motorcycle()[0])).convert("RGB"))
    return encode(plate, icc_profile=cmyk_profile(), dpi=(300, 300))


def portrait() -> bytes:
    """PNG, gray with alpha: an oval portrait on a transparent ground."""
    gray = gray8(data.astronaut())[:270, 115:335]
    y, x = np.indices(gray.shape)
    height, width = gray.shape
    radius = np.hypot((x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1)
    alpha = np.rint(np.clip((1 - radius) * 25, 0, 1) * 255).astype(np.uint8)
    return encode(np.dstack([gray, alpha]), format="PNG", dpi=(300, 300))


def sepia() -> bytes:
    """RGB JPEG of a brown print on yellowed paper."""
    tone, ink, paper = lightness(data.coffee())[..., None], np.array([43, 26, 14]), np.array([246, 230, 196])
    return encode(np.rint(ink + tone * (paper - ink)).astype(np.uint8), dpi=(300, 300))


def sideways() -> bytes:
    """Gray JPEG stored lying on its side; EXIF orientation 6 says to turn it clockwise."""
    upright = gray8(data.stereo_motorcycle()[1])
    return encode(np.rot90(upright), exif=exif(orientation=6))


def in_color() -> bytes:
    """A color photograph, to be left alone."""
    return encode(Image.fromarray(data.retina()).reduce(2), dpi=(300, 300))


def page() -> bytes:
    """1-bit TIFF, Group 4, of a printed page."""
    text = data.page()
    ink = text < 0.85 * np.array(Image.fromarray(text).resize((8, 4), Image.Resampling.BOX).resize(text.shape[::-1]))
    return encode(Image.fromarray(~ink), format="TIFF", compression="group4", dpi=(200, 200))


def huge() -> bytes:
    """A PNG of about a hundred bytes whose header says 40,000 x 40,000 pixels."""
    header = struct.pack(">2I5B", 40_000, 40_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(40_001))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def truncated() -> bytes:
    """A JPEG that ends in the middle, as after a copy that was cut short."""
    whole = encode(gray8(data.chelsea()))
    return whole[: len(whole) * 3 // 5]


def not_a_photo() -> bytes:
    """A note that someone saved under a picture's name."""
    return b"The negatives of this box are in the cold store, shelf 14.\n"


FILES: dict[str, Callable[[], bytes]] = {
    "box-01/0001-astronaut.jpg": astronaut,
    "box-01/0002-photographer.jpg": photographer,
    "box-01/0003-cat.tif": cat,
    "box-01/0004-rocket.tif": rocket,
    "box-02/0005-album.tif": album,
    "box-02/0006-press-print.jpg": press_print,
    "box-02/0007-portrait.png": portrait,
    "box-02/0008-sepia.jpg": sepia,
    "box-03/0009-sideways.jpg": sideways,
    "box-03/0010-in-color.jpg": in_color,
    "box-03/0011-page.tif": page,
    "box-04 (damaged)/0012-huge.png": huge,
    "box-04 (damaged)/0013-truncated.jpg": truncated,
    "box-04 (damaged)/0014-not-a-photo.jpg": not_a_photo,
}


def build(folder: Path) -> list[Path]:
    """Write the archive under ``folder`` and give the paths of its files. Raises OSError where that is impossible."""
    paths = []
    for name, make in FILES.items():
        path, content = folder / name, make()
        if not (path.is_file() and path.read_bytes() == content):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.archive", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to put the archive; made if missing")
    folder = parser.parse_args().folder
    try:
        paths = build(folder)
    except OSError as error:
        parser.error(f"cannot write the demo archive: {error}")
    print(f"{len(paths)} files, {sum(path.stat().st_size for path in paths) / 1e6:.1f} MB, in {folder}")


if __name__ == "__main__":
    main()
