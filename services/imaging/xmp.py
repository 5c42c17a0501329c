"""Single properties of a stranger's XMP packet (ISO 16684-1)."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

# By the prefix that each usually has.
NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "cc": "http://creativecommons.org/ns#",
    "dcterms": "http://purl.org/dc/terms/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_LARGEST = 1 << 20
_DECLARATION = re.compile(r"<!(?:DOCTYPE|ENTITY)|<\?xml[^>]*\?>", re.IGNORECASE)
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))

SOURCE_TYPE, CREATOR, RIGHTS, CREDIT = "Iptc4xmpExt:DigitalSourceType", "dc:creator", "dc:rights", "photoshop:Credit"
OWNER, MARKED, DATA_MINING = "xmpRights:Owner", "xmpRights:Marked", "plus:DataMining"
USAGE_TERMS, WEB_STATEMENT = "xmpRights:UsageTerms", "xmpRights:WebStatement"


def whole_name(name: str) -> str:
    """As ElementTree has it, of one with a prefix."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


_DESCRIPTION, _LI, _RESOURCE, _RDF = map(whole_name, ("rdf:Description", "rdf:li", "rdf:resource", "rdf:RDF"))


class BrokenPacket(ValueError):
    """No packet that can be read."""


class Packet:
    """What a packet says, property by property."""

    def __init__(self, rdf: ET.Element) -> None:
        self.descriptions = rdf.findall(_DESCRIPTION)

    @classmethod
    def parse(cls, packet: bytes) -> Packet:
        """Raises BrokenPacket; a packet that declares entities counts as one."""
        if len(packet) > _LARGEST:
            raise BrokenPacket("it is too large")
        try:
            text = packet.decode(_encoding(packet)).strip("\0\ufeff \t\r\n")
            root = ET.fromstring(_DECLARATION.sub(_allowed, text))
        except (UnicodeError, ET.ParseError, ValueError) as error:
            raise BrokenPacket("it is no XML") from error
        rdf = next(root.iter(_RDF), None)
        if rdf is None:
            raise BrokenPacket("it is no RDF")
        return cls(rdf)

    def values(self, name: str) -> list[str]:
        """Of a property, however it is written; of alternatives in several languages the default one first."""
        whole = whole_name(name)
        found: list[str] = []
        for description in self.descriptions:
            if whole in description.attrib:
                found.append(description.attrib[whole])
            for item in description.findall(whole):
                found += _texts(item)
        return found


def _allowed(declaration: re.Match[str]) -> str:
    """Of a text, what it says about its bytes means nothing; what it declares beyond is not read."""
    if declaration.group().startswith("<?"):
        return ""
    raise BrokenPacket("it declares entities")


def _encoding(packet: bytes) -> str:
    for mark, encoding in _MARKS:
        if packet.startswith(mark):
            return encoding
    if packet[:2] == b"\0<":
        return "utf-16-be"
    return "utf-16-le" if packet[:2] == b"<\0" else "utf-8"


def _texts(item: ET.Element) -> list[str]:
    items = sorted(item.iter(_LI), key=lambda li: li.get(_LANGUAGE) != "x-default")
    if items:
        return [_text(li) for li in items]
    return [_text(item)]


def _text(item: ET.Element) -> str:
    return item.get(_RESOURCE) or item.text or ""
