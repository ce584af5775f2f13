import pytest

from colorize_core import xmp
from colorize_core.xmp import Packet

HEAD = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
TAIL = "</rdf:RDF></x:xmpmeta>"
TITLE = f"{{{xmp.DC}}}title"


def packet(inner: str) -> bytes:
    return (HEAD + inner + TAIL).encode()


def describe(attributes: str = "", inner: str = "") -> str:
    head = f'<rdf:Description rdf:about="" xmlns:a="http://a/" xmlns:xmp="{xmp.XMP}" {attributes}>'
    return head + inner + "</rdf:Description>"


def test_attributes_and_elements_are_read_replaced_and_removed_alike():
    read = Packet(packet(describe('a:one="1" a:gone="x"', "<a:two>2</a:two><a:three>3</a:three>")))
    assert [read.get(f"{{http://a/}}{name}") for name in ("one", "two", "none")] == ["1", "2", None]
    read.add({"{http://a/}one": "I", "{http://a/}two": "II"})
    read.remove(["{http://a/}gone"])
    again = Packet(read.tobytes())
    assert [again.get(f"{{http://a/}}{name}") for name in ("one", "two", "three", "gone")] == ["I", "II", "3", None]
    assert again.tobytes().count(b"a:one") == 2  # one opening, one closing


def test_values_are_escaped_and_what_xml_cannot_hold_is_replaced():
    written = Packet()
    written.add({"{http://a/}v": "<b>&\"'\x00\udcff é 🎞"})
    assert Packet(written.tobytes()).get("{http://a/}v") == "<b>&\"'\ufffd\ufffd é 🎞"


@pytest.mark.parametrize("wrap", [b"  %s\0", b"?xpacket begin=''?>%s\n \0\0", b"\xef\xbb\xbf%s"])
def test_filler_and_a_lost_first_byte_are_forgiven(wrap):
    assert Packet(wrap % packet(describe('a:v="1"'))).get("{http://a/}v") == "1"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_of_packets(encoding):
    data = packet(describe('a:v="é"')).decode().encode(encoding)
    assert Packet(data).get("{http://a/}v") == "é"


def test_prefixes_survive_and_do_not_leak_from_one_packet_to_the_next():
    strange = packet(
        '<Description xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:ns3="http://b/" ns3:v="1"/>'
    )
    before = Packet(strange).tobytes()
    clash = packet('<rdf:Description xmlns:xmp="http://a/" xmlns:q="http://b/" xmp:one="1" q:two="2"/>')
    read = Packet(clash)
    read.add({f"{{{xmp.XMP}}}Label": "red"})
    again = Packet(read.tobytes())
    assert again.get("{http://a/}one") == "1" and again.get(f"{{{xmp.XMP}}}Label") == "red"
    assert b'xmlns:q="http://b/"' in read.tobytes()
    assert Packet(strange).tobytes() == before


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not xml",
        b"<a>",
        b"<a/>",
        packet("")[:-4],
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + packet(describe()),
        packet("<rdf:Description>" * 70 + "</rdf:Description>" * 70),
        packet("<undeclared:a/>"),
        b'<?xml version="1.0" encoding="no-such"?><a/>',
    ],
)
def test_broken_or_dangerous_packets_are_refused(data):
    with pytest.raises(ValueError, match="broken XMP"):
        Packet(data)


def test_entities_cannot_be_smuggled_in_another_encoding():
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;">]>' + packet(describe('a:v="&c;"')).decode()
    with pytest.raises(ValueError, match="document type"):
        Packet(bomb.encode("utf-16"))


def test_split_for_jpeg_keeps_the_last_description_in_the_main_packet():
    read = Packet(packet(describe(f'a:long="{"x" * 70_000}"')))
    read.add({"{http://a/}label": "here"})
    whole = read.tobytes()
    assert xmp.for_jpeg(whole, 100_000) == (whole, b"")
    main, extended = xmp.for_jpeg(whole, 65_000)
    assert len(main) < 65_000
    assert Packet(main).get("{http://a/}label") == "here" and Packet(main).get("{http://a/}long") is None
    assert Packet(main).get(f"{{{xmp.XMP_NOTE}}}HasExtendedXMP") == xmp.digest(extended)
    assert Packet(extended).get("{http://a/}long") == "x" * 70_000 and Packet(extended).get("{http://a/}label") is None
    with pytest.raises(ValueError, match="cannot be stored"):
        xmp.for_jpeg(packet(describe(f'a:long="{"x" * 70_000}"')), 65_000)
