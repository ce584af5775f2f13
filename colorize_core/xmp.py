"""XMP packets: parse, join, say what is true of a derivative, split for JPEG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from hashlib import md5
from xml.parsers import expat

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
META = "adobe:ns:meta/"
IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
XMP = "http://ns.adobe.com/xap/1.0/"
XMP_MM = "http://ns.adobe.com/xap/1.0/mm/"
XMP_NOTE = "http://ns.adobe.com/xmp/note/"
REFERENCE = "http://ns.adobe.com/xap/1.0/sType/ResourceRef#"
TIFF = "http://ns.adobe.com/tiff/1.0/"
EXIF = "http://ns.adobe.com/exif/1.0/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
DC = "http://purl.org/dc/elements/1.1/"

PREFIXES = {
    "rdf": RDF,
    "x": META,
    "Iptc4xmpExt": IPTC_EXT,
    "xmp": XMP,
    "xmpMM": XMP_MM,
    "xmpNote": XMP_NOTE,
    "stRef": REFERENCE,
    "tiff": TIFF,
}
LARGEST_DEPTH = 64

# Said of the source's file, not of the photograph, so not true of a derivative.
OF_THE_FILE = frozenset(
    [f"{{{XMP}}}Thumbnails", f"{{{DC}}}format", f"{{{XMP_NOTE}}}HasExtendedXMP"]
    + [f"{{{PHOTOSHOP}}}{name}" for name in ("ColorMode", "ICCProfile")]
    + [f"{{{EXIF}}}{name}" for name in ("ColorSpace", "PixelXDimension", "PixelYDimension", "NativeDigest")]
    + [
        f"{{{TIFF}}}{name}"
        for name in ("Orientation", "ImageWidth", "ImageLength", "BitsPerSample", "Compression", "NativeDigest")
        + ("PhotometricInterpretation", "SamplesPerPixel", "PlanarConfiguration")
        + ("XResolution", "YResolution", "ResolutionUnit")
    ]
)


def _clean(text: str) -> str:
    """``text`` with what XML cannot hold (control characters, half surrogates) replaced."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


class Packet:
    """An XMP packet as a tree of properties.

    ``Packet()`` is an empty one, ``Packet(data)`` raises ValueError for what is not well-formed XMP. Document types are
    refused, and with them every entity that could grow.
    """

    def __init__(self, data: bytes | None = None):
        self.prefixes: dict[str, str] = {}
        if data is None:
            self.rdf = ET.Element(f"{{{RDF}}}RDF")
            return
        if b"\0" not in data[:4]:  # UTF-8: some writers leave a filler around it, or lose its first byte
            data = data[max(data.find(b"<"), 0) :].rstrip(b"\0 \t\r\n")
        self._scan(data)
        try:
            root = ET.fromstring(data)
        except (ET.ParseError, ValueError, LookupError) as error:
            raise ValueError(f"broken XMP: {error}") from None
        rdf = root if root.tag == f"{{{RDF}}}RDF" else root.find(f".//{{{RDF}}}RDF")
        if rdf is None:
            raise ValueError("broken XMP: there is no rdf:RDF in it")
        rdf.tail = None
        self.rdf = rdf

    def _scan(self, data: bytes) -> None:
        """Refuse what must not be parsed into a tree; note the namespace prefixes, which ElementTree forgets."""
        parser = expat.ParserCreate(namespace_separator=" ")
        depth = 0

        def start(name, attributes):
            nonlocal depth
            depth += 1
            if depth > LARGEST_DEPTH:
                raise ValueError("broken XMP: nested too deeply")

        def end(name):
            nonlocal depth
            depth -= 1

        def doctype(*_):
            raise ValueError("broken XMP: it has a document type")

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.StartDoctypeDeclHandler = doctype
        parser.StartNamespaceDeclHandler = lambda prefix, uri: self.prefixes.setdefault(uri, prefix or "")
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, LookupError) as error:
            raise ValueError(f"broken XMP: {error}") from None

    def __len__(self) -> int:
        return sum(len(node) + len(node.attrib) for node in self.rdf)

    def get(self, name: str) -> str | None:
        """Text of a simple property, ``name`` in ``{namespace}name`` form; None when there is none."""
        for node in self.rdf:
            if name in node.attrib:
                return node.attrib[name]
            if (child := node.find(name)) is not None:
                return child.text or child.get(f"{{{RDF}}}resource")
        return None

    def remove(self, names: Iterable[str]) -> None:
        names = frozenset(names)
        for node in list(self.rdf):
            for name in names & node.attrib.keys():
                del node.attrib[name]
            for child in [child for child in node if child.tag in names]:
                node.remove(child)
            if not len(node) and not set(node.attrib) - {f"{{{RDF}}}about"}:
                self.rdf.remove(node)

    def add(self, properties: dict[str, str | dict[str, str]]) -> None:
        """Set properties (a dictionary is a structure) in a description of their own, the last of the packet."""
        self.remove(properties)
        node = ET.SubElement(self.rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": self._about()})
        for name, value in properties.items():
            child = ET.SubElement(node, name)
            if isinstance(value, str):
                child.text = _clean(value)
                continue
            child.set(f"{{{RDF}}}parseType", "Resource")
            for inner, text in value.items():
                ET.SubElement(child, inner).text = _clean(text)

    def _about(self) -> str:
        return next((node.get(f"{{{RDF}}}about", "") for node in self.rdf), "")

    def extend(self, other: Packet) -> None:
        """Append the properties of another packet."""
        self.rdf.extend(other.rdf)
        self.prefixes = other.prefixes | self.prefixes

    def split(self) -> tuple[Packet, Packet]:
        """The last description, and all the others: what JPEG keeps in its main and its extended packet."""
        first, second = Packet(), Packet()
        first.prefixes = second.prefixes = self.prefixes
        first.rdf.extend(self.rdf[-1:])
        second.rdf.extend(self.rdf[:-1])
        return first, second

    def tobytes(self, wrap: bool = True) -> bytes:
        """The packet in UTF-8; the same tree always gives the same bytes. ``wrap`` adds the xpacket marks."""
        used = {uri: prefix for uri, prefix in self.prefixes.items()} | {uri: p for p, uri in PREFIXES.items()}
        for number, (uri, prefix) in enumerate(used.items()):
            if not prefix or re.fullmatch(r"ns\d+", prefix) or (prefix in PREFIXES and PREFIXES[prefix] != uri):
                prefix = f"n{number}"
            if prefix != "xml":
                ET.register_namespace(prefix, uri)
        meta = ET.Element(f"{{{META}}}xmpmeta")
        meta.append(self.rdf)
        body = ET.tostring(meta, encoding="utf-8")
        if not wrap:
            return body
        begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
        return begin + body + b'\n<?xpacket end="w"?>'


def digest(extended: bytes) -> str:
    """The name by which a JPEG's main packet refers to its extended one: 32 hex digits."""
    return md5(extended, usedforsecurity=False).hexdigest().upper()


def for_jpeg(packet: bytes, room: int) -> tuple[bytes, bytes]:
    """A packet as JPEG stores it: the main part of at most ``room`` bytes, and the extended part (may be empty).

    The last description stays in the main part; ValueError when it alone has no room there.
    """
    if len(packet) <= room:
        return packet, b""
    main, rest = Packet(packet).split()
    extended = rest.tobytes(wrap=False)
    main.add({f"{{{XMP_NOTE}}}HasExtendedXMP": digest(extended)})
    packet = main.tobytes()
    if len(packet) > room:
        raise ValueError(f"XMP of {len(packet)} bytes cannot be stored in JPEG")
    return packet, extended
