"""XMP packets (ISO 16684-1): a new one, or another's with our two properties added."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from services.imaging.carriers.edits import C2PA, Unfit

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_META = "{adobe:ns:meta/}xmpmeta"
# Where the manifest of a signed file lies, if not inside it.
_SIGNED_ELSEWHERE = "{http://purl.org/dc/terms/}provenance"
_CLOSING = re.compile(rb"</(?:[\w.-]+:)?RDF\s*>")


@dataclass(frozen=True, slots=True)
class Description:
    """`tool` made the file, in the way that IPTC's `source` names; None where somebody else has said so."""

    tool: str | None
    source: str | None

    def as_xml(self, about: str = "") -> str:
        tool = f" xmp:CreatorTool={quoteattr(self.tool)}" if self.tool else ""
        source = f" Iptc4xmpExt:DigitalSourceType={quoteattr(self.source)}" if self.source else ""
        return (
            f'<rdf:Description xmlns:rdf="{_RDF}" rdf:about={quoteattr(about)} xmlns:xmp="{_XMP}"'
            f' xmlns:Iptc4xmpExt="{_IPTC}"{tool}{source}/>'
        )


def new_packet(mine: Description) -> bytes:
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
        f'{mine.as_xml()}</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    return text.encode()


def with_description(packet: bytes, mine: Description) -> bytes | None:
    """What the packet lacks of `mine`, added to it; what it says itself stays, byte by byte.

    None where that is not safe, or where nothing is lacking.

    Raises:
        Unfit: it points to a signature elsewhere, which the change would break.
    """
    rdf = _parsed(packet)
    if rdf is None:
        return None
    if _says(rdf, _SIGNED_ELSEWHERE):
        raise Unfit(C2PA)
    lacking = Description(
        None if _says(rdf, f"{{{_XMP}}}CreatorTool") else mine.tool,
        None if _says(rdf, f"{{{_IPTC}}}DigitalSourceType") else mine.source,
    )
    closings = list(_CLOSING.finditer(packet))
    subjects = {item.get(f"{{{_RDF}}}about", "") for item in rdf}
    if lacking == Description(None, None) or len(closings) != 1 or len(subjects) > 1:
        return None
    place = closings[0].start()
    made = packet[:place] + lacking.as_xml(*subjects).encode() + packet[place:]
    found = _parsed(made)
    return made if found is not None and len(found) == len(rdf) + 1 else None


def _parsed(packet: bytes) -> ET.Element | None:
    """Its `rdf:RDF`; None unless there is one, in UTF-8 and without entities of its own."""
    if b"\0" in packet or b"<!" in packet:
        return None
    try:
        root = ET.fromstring(packet.decode().strip().removeprefix("\ufeff"))
    except (UnicodeDecodeError, ET.ParseError, ValueError):
        return None
    rdf = root[0] if root.tag == _META and len(root) == 1 else root
    return rdf if rdf.tag == f"{{{_RDF}}}RDF" else None


def _says(rdf: ET.Element, name: str) -> bool:
    return any(name in item.attrib or item.find(name) is not None for item in rdf)
