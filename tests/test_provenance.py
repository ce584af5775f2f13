import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from test_exif import MAKER_NOTE, THUMBNAIL, block, pillow
from test_xmp import describe, packet

from colorize_core import xmp
from colorize_core.provenance import LARGEST, SOURCE_TYPES, Label, Metadata, derive, read_metadata

IPTC = b"\x1c\x02\x78\x00\x0cA tram, 1911" + b"\x1c\x02\x50\x00\x06Nobody"
XMP = packet(describe('xmp:Rating="5"', "<a:note>kept</a:note>"))
PICTURE = Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(30, 40))
DATA = os.environ.get("AUTOCHROME_DATA")


def resource(number: int, body: bytes, name: bytes = b"") -> bytes:
    pascal = bytes([len(name)]) + name
    pascal += b"\0" * (len(pascal) % 2)
    return b"8BIM" + struct.pack(">H", number) + pascal + struct.pack(">I", len(body)) + body + b"\0" * (len(body) % 2)


RESOURCES = resource(0x03E8, b"odd", b"a") + resource(0x03E9, b"even", b"ab") + resource(0x0404, IPTC)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def make_jpeg(path: Path) -> None:
    PICTURE.save(path, "JPEG", exif=b"Exif\0\0" + block(">"), xmp=XMP, dpi=(300, 600))
    data = path.read_bytes()
    cut = len(RESOURCES) - 20  # resources may be spread over segments anywhere
    split = [segment(0xED, b"Photoshop 3.0\0" + part) for part in (RESOURCES[:cut], RESOURCES[cut:])]
    path.write_bytes(data[:2] + b"\xff" + b"".join(split) + data[2:])


def make_png(path: Path) -> None:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    info.add_text("Raw profile type iptc", f"\niptc\n{len(RESOURCES)}\n{RESOURCES.hex()}\n", zip=True)
    PICTURE.save(path, "PNG", exif=b"Exif\0\0" + block("<"), pnginfo=info, dpi=(300, 600))


def make_imagemagick_png(path: Path) -> None:
    info = PngInfo()
    profiles = (("exif", b"Exif\0\0" + block("<")), ("xmp", XMP), ("iptc", IPTC))
    for kind, data in profiles:
        info.add_text(f"Raw profile type {kind}", f"\n{kind}\n{len(data):8}\n{data.hex()}\n", zip=kind != "xmp")
    PICTURE.save(path, "PNG", pnginfo=info, dpi=(300, 600))


def make_tiff(path: Path, **options) -> None:
    exif = pillow(block("<"))
    exif[700], exif[33723] = XMP, IPTC
    PICTURE.save(path, "TIFF", exif=exif, dpi=(300, 600), **options)


def make_big_tiff(path: Path) -> None:
    make_tiff(path, big_tiff=True)


def make_webp(path: Path) -> None:
    PICTURE.save(path, "WEBP", exif=block(">"), xmp=XMP)


def make_avif(path: Path) -> None:
    PICTURE.save(path, "AVIF", exif=block("<", orientation=1), xmp=XMP)


def make_jp2(path: Path) -> None:
    PICTURE.save(path, "JPEG2000")
    boxes = [(bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), XMP), (b"JpgTiffExif->JP2", block("<"))]
    boxes.append((bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"), IPTC))
    with path.open("rb+") as file:
        head = file.read(12)
        rest = file.read()
        file.seek(0)
        file.write(head + b"".join(struct.pack(">I", len(n + b) + 8) + b"uuid" + n + b for n, b in boxes) + rest)


def make_psd(path: Path) -> None:
    size = struct.pack(">IHHIHH", 300 << 16, 1, 1, 600 << 16, 1, 1)
    resources = RESOURCES + resource(0x0422, block(">")) + resource(0x0424, XMP) + resource(0x03ED, size)
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 1, 30, 40, 8, 1)
    path.write_bytes(head + bytes(4) + struct.pack(">I", len(resources)) + resources + bytes(4) + bytes(1200))


MAKERS = {
    "JPEG": make_jpeg,
    "PNG": make_png,
    "png": make_imagemagick_png,
    "TIFF": make_tiff,
    "tiff": make_big_tiff,
    "WEBP": make_webp,
    "AVIF": make_avif,
    "JPEG2000": make_jp2,
    "PSD": make_psd,
}


@pytest.mark.parametrize("format", MAKERS)
def test_read_from_every_format(format, tmp_path):
    path = tmp_path / "photo"
    MAKERS[format](path)
    metadata = read_metadata(path, format)
    exif = pillow(metadata.exif)
    assert (exif[271], exif[33432]) == ("Linhof", "Archive")
    assert exif.get_ifd(0x8769)[36867] == "1950:01:02 03:04:05" and exif.get_ifd(0x8825)[1] == "N"
    assert THUMBNAIL not in metadata.exif and MAKER_NOTE not in metadata.exif
    assert xmp.Packet(metadata.xmp).get("{http://a/}note") == "kept"
    assert metadata.dpi == pytest.approx((300, 600), abs=0.02)
    if format not in ("WEBP", "AVIF"):  # these have no place for IIM
        assert metadata.iptc == IPTC


def test_page_of_a_tiff_has_its_own_metadata(tmp_path):
    path = tmp_path / "pages.tif"
    pages = []
    for name in ("recto", "verso"):
        page = PICTURE.copy()
        page.encoderinfo = {"tiffinfo": {270: name}}
        pages.append(page)
    pages[0].save(path, save_all=True, append_images=pages[1:], tiffinfo={270: "recto"})
    descriptions = [pillow(read_metadata(path, "TIFF", page).exif).get(270) for page in (0, 1)]
    assert descriptions == ["recto", "verso"]
    assert read_metadata(path, "TIFF", 7) == Metadata()


def test_extended_xmp_of_jpeg_is_joined(tmp_path):
    main, extended = xmp.for_jpeg(
        derive(Metadata(xmp=packet(describe(f'a:long="{"x" * 70_000}"'))), Label(), 1, 1).xmp, 9000
    )
    name = b"http://ns.adobe.com/xmp/extension/\0" + xmp.digest(extended).encode() + struct.pack(">I", len(extended))
    chunks = [segment(0xE1, name + struct.pack(">I", at) + extended[at : at + 30_000]) for at in (60_000, 0, 30_000)]
    stray = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + b"of another packet")
    path = tmp_path / "long.jpg"
    PICTURE.save(path, xmp=main)
    data = path.read_bytes()
    path.write_bytes(data[:20] + stray + b"".join(chunks) + data[20:])
    joined = xmp.Packet(read_metadata(path, "JPEG").xmp)
    assert joined.get("{http://a/}long") == "x" * 70_000
    assert joined.get(f"{{{xmp.IPTC_EXT}}}AISystemUsed") == "Autochrome"
    assert joined.get(f"{{{xmp.XMP_NOTE}}}HasExtendedXMP") is None


def test_what_is_too_large_or_broken_is_dropped_and_the_rest_kept(tmp_path):
    path = tmp_path / "photo.png"
    info = PngInfo()
    info.add(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b" " * (64 << 20)))  # small until it is inflated
    PICTURE.save(path, pnginfo=info, exif=block("<"), dpi=(300, 300))
    metadata = read_metadata(path, "PNG")
    assert metadata.xmp is None
    PICTURE.save(path, "TIFF", tiffinfo={700: b"<" * (LARGEST + 1), 33723: IPTC[:-3], 270: "here"})
    metadata = read_metadata(path, "TIFF")
    assert metadata.xmp is None and metadata.iptc == IPTC[: -len(b"\x1c\x02\x50\x00\x06Nobody")]
    assert pillow(metadata.exif)[270] == "here"
    PICTURE.save(path, "JPEG", exif=b"Exif\0\0garbage", xmp=b"<broken", dpi=(72, 72))
    assert read_metadata(path, "JPEG") == Metadata(dpi=(72, 72))


def test_a_file_of_nothing_but_metadata_is_not_held_in_memory(tmp_path):
    path = tmp_path / "photo"
    path.write_bytes(b"\xff\xd8" + segment(0xED, b"Photoshop 3.0\0" + bytes(60_000)) * 1000)
    assert peak_of_reading(path, "JPEG") < 40 << 20
    entries = b"".join(struct.pack("<HHII", number, 7, LARGEST, 8) for number in range(1000, 60_000, 59))
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries) // 12) + entries + bytes(4)
    path.write_bytes(head + bytes(LARGEST + 8))
    assert peak_of_reading(path, "TIFF") < 40 << 20


def peak_of_reading(path: Path, format: str) -> int:
    tracemalloc.start()
    try:
        read_metadata(path, format)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_nothing_comes_of_nothing(tmp_path):
    PICTURE.save(tmp_path / "bare.bmp", dpi=(0, 0))
    for format in ("BMP", "JPEG", "TIFF", "PNG", "WEBP", "PSD", "JPEG2000", "no such"):
        assert read_metadata(tmp_path / "bare.bmp", format) == Metadata()
        assert read_metadata(tmp_path / "missing", format) == Metadata()


@pytest.mark.skipif(not DATA, reason="AUTOCHROME_DATA is not set")
def test_hostile_files_never_raise_and_never_take_long():
    paths = sorted(path for path in Path(DATA, "hostile").iterdir() if path.suffix != ".csv")
    assert len(paths) > 200
    for path in paths:
        for format in ("JPEG", "PNG", "TIFF", "WEBP", "PSD", "JPEG2000", "other"):
            start = time.monotonic()
            derived = derive(read_metadata(path, format), Label(), 3, 2)
            assert time.monotonic() - start < 2, path
            assert xmp.Packet(derived.xmp).get(f"{{{xmp.IPTC_EXT}}}AISystemUsed") == "Autochrome"


def test_label_speaks_only_terms_of_the_vocabulary():
    assert [Label(term).digital_source_type for term in SOURCE_TYPES] == list(SOURCE_TYPES)
    with pytest.raises(ValueError, match="algorithmicallyEnhanced"):
        Label("http://cv.iptc.org/newscodes/digitalsourcetype/minorHumanEdits")


def test_derived_xmp_is_labelled_and_keeps_what_is_true():
    gray = (
        f'xmlns:tiff="{xmp.TIFF}" xmlns:photoshop="{xmp.PHOTOSHOP}" xmlns:dc="{xmp.DC}" xmlns:e="{xmp.IPTC_EXT}" '
        f'xmlns:mm="{xmp.XMP_MM}" mm:InstanceID="xmp.iid:1" mm:DocumentID="xmp.did:2" tiff:Orientation="6" '
        f'photoshop:ColorMode="1" dc:format="image/tiff" xmp:CreatorTool="Scan 1.0" tiff:Make="Linhof" '
        f'e:DigitalSourceType="{xmp.IPTC_EXT}negativeFilm"'
    )
    inner = f'<xmp:Thumbnails xmlns:g="{xmp.XMP}g/img/"><rdf:Alt><rdf:li>THUMB</rdf:li></rdf:Alt></xmp:Thumbnails>'
    inner += "<a:note>kept</a:note>"
    label = Label(SOURCE_TYPES[1], "Autochrome & friends", "0.1 <sha256:ab>")
    data = derive(Metadata(xmp=packet(describe(gray, inner))), label, 40, 30, "box 1/<é>.tif", "ab" * 32).xmp
    derived = xmp.Packet(data)
    assert derived.get(f"{{{xmp.IPTC_EXT}}}DigitalSourceType") == SOURCE_TYPES[1]
    assert derived.get(f"{{{xmp.IPTC_EXT}}}AISystemUsed") == "Autochrome & friends"
    assert derived.get(f"{{{xmp.IPTC_EXT}}}AISystemVersionUsed") == "0.1 <sha256:ab>"
    assert derived.get(f"{{{xmp.TIFF}}}Orientation") == "1"
    assert derived.get(f"{{{xmp.XMP}}}CreatorTool") == "Scan 1.0" and derived.get(f"{{{xmp.TIFF}}}Make") == "Linhof"
    assert derived.get("{http://a/}note") == "kept" and derived.get(f"{{{xmp.XMP_MM}}}DocumentID") == "xmp.did:2"
    for gone in (b"negativeFilm", b"THUMB", b"ColorMode", b"image/tiff"):
        assert gone not in data
    origin = derived.rdf.find(f".//{{{xmp.XMP_MM}}}DerivedFrom")
    assert [child.text for child in origin] == ["box 1/<é>.tif", "xmp.did:2", "xmp.iid:1"]


def test_deriving_twice_changes_nothing():
    once = derive(Metadata(block("<"), XMP, IPTC, (300, 600)), Label(version="1"), 40, 30)
    assert derive(once, Label(version="1"), 40, 30) == once


def test_a_broken_packet_gives_way_to_a_fresh_one():
    fresh = derive(Metadata(), Label(version="1"), 4, 3)
    assert derive(Metadata(xmp=b"<broken"), Label(version="1"), 4, 3) == fresh
    assert fresh.exif is None and fresh.iptc is None and fresh.dpi is None


@pytest.mark.parametrize("orientation, expected", [(1, (300, 600)), (3, (300, 600)), (6, (600, 300)), (8, (600, 300))])
def test_resolution_turns_with_the_picture(orientation, expected):
    derived = derive(Metadata(exif=block("<", orientation), dpi=(300, 600)), Label(), 30, 40)
    exif = pillow(derived.exif)
    assert derived.dpi == (exif[282], exif[283]) == expected
    assert exif[274] == 1 and exif.get_ifd(0x8769)[40962] == 30
