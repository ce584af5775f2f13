import io
import struct

import pytest
from PIL import ExifTags, Image

from colorize_core.exif import Exif, Tag, big, read_directory, write_directory

MAKER_NOTE, THUMBNAIL = b"SECRET MAKER NOTE", b"\xff\xd8 tiny gray picture \xff\xd9"


def block(order: str, orientation: int = 6) -> bytes:
    """EXIF as a camera writes it: four directories, a maker note, a thumbnail; in either byte order."""
    exif = Image.Exif()
    exif.endian = order
    exif[271], exif[305], exif[33432] = "Linhof", "Scan 1.0", "Archive"
    exif[256], exif[257], exif[274], exif[282], exif[283], exif[296] = 40, 30, orientation, 300.0, 600.0, 2
    exif[0x8769] = {36867: "1950:01:02 03:04:05", 37500: MAKER_NOTE, 40961: 65535, 40962: 40, 40963: 30}
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    data = exif.tobytes().removeprefix(b"Exif\0\0")
    at = 8 + 2 + 12 * struct.unpack_from(order + "H", data, 8)[0]
    end = len(data)
    first = struct.pack(order + "H", 2)
    first += struct.pack(order + "HHII", 513, 4, 1, end + 30) + struct.pack(order + "HHII", 514, 4, 1, len(THUMBNAIL))
    first += struct.pack(order + "I", 0)
    return data[:at] + struct.pack(order + "I", end) + data[at + 4 :] + first + THUMBNAIL


def pillow(data: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + data)
    return exif


@pytest.mark.parametrize("order", "<>")
def test_corrected_block_is_true_and_keeps_the_rest(order):
    assert pillow(block(order)).get_ifd(ExifTags.IFD.IFD1), (
        "the source must have a thumbnail for the test to mean anything"
    )
    exif = Exif.read(block(order))
    assert exif.order == order and exif.orientation == 6 and exif.dpi == (300, 600)
    exif.correct(70_000, 20)
    data = exif.tobytes()
    assert THUMBNAIL not in data and MAKER_NOTE not in data
    read = pillow(data)
    assert (read[271], read[305], read[33432]) == ("Linhof", "Scan 1.0", "Archive")
    assert (read[256], read[257], read[274], read[282], read[283]) == (70_000, 20, 1, 600, 300)
    assert read.get_ifd(0x8769) == {36867: "1950:01:02 03:04:05", 40961: 1, 40962: 70_000, 40963: 20}
    assert read.get_ifd(0x8825) == {1: "N", 2: (52.0, 30.0, 0.0)}
    assert not read.get_ifd(ExifTags.IFD.IFD1)


@pytest.mark.parametrize("orientation, kept", [(1, True), (3, False)])
def test_georeference_stays_only_with_pixels_that_do_not_move(orientation, kept):
    exif = Exif.read(block("<", orientation))
    exif.main[33550] = Tag(12, 3, struct.pack("<3d", 0.5, 0.5, 0))
    exif.correct(40, 30)
    assert (pillow(exif.tobytes()).get(33550) == (0.5, 0.5, 0)) is kept


def test_no_broken_block_raises_anything_but_value_error():
    data = block("<")
    for cut in range(len(data)):
        for damaged in (data[:cut], data[:cut] + b"\xff" + data[cut + 1 :]):
            try:
                exif = Exif.read(damaged)
            except ValueError:
                continue
            exif.correct(1, 1)
            assert Exif.read(exif.tobytes()).orientation == 1


def test_a_directory_that_is_its_own_detail_ends():
    loop = b"II*\0\x08\0\0\0" + b"\x01\0" + struct.pack("<HHII", 34665, 4, 1, 8) + bytes(4)
    with pytest.raises(ValueError):
        Exif.read(loop[:10])
    assert Exif.read(loop).detail.keys() == {34665}


def test_big_tiff_directory_round_trips():
    tags = {1: Tag(1, 3, b"abc"), 2: Tag(16, 1, struct.pack(">Q", 1 << 40)), 3: Tag(2, 20, b"x" * 19 + b"\0")}
    data = write_directory(tags, big(">"), 100)
    assert read_directory(io.BytesIO(bytes(100) + data), big(">"), 100) == (tags, 0)


def test_other_byte_order_and_orientation_out_of_range_read_as_upright():
    exif = Exif.read(block(">", orientation=9))
    assert exif.orientation == 1
    with pytest.raises(ValueError, match="not a TIFF structure"):
        Exif.read(b"nothing of the kind")
