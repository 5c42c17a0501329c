"""Where a picture comes from, as metadata that photo software reads: IPTC's Digital Source Type, in XMP.

https://cv.iptc.org/newscodes/digitalsourcetype/ and the IPTC Photo Metadata Standard; the recipe travels beside it.
"""

from __future__ import annotations

from enum import StrEnum
from xml.sax.saxutils import quoteattr

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"


class DigitalSource(StrEnum):
    """IPTC's words for the share a model had in a picture."""

    # A model drew it.
    GENERATED = "trainedAlgorithmicMedia"
    # A model drew parts of it, or over it.
    COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
    # Changed by algorithm, but nothing in it was drawn by a model.
    ENHANCED = "algorithmicallyEnhanced"

    @property
    def uri(self) -> str:
        return _VOCABULARY + self.value


def xmp_packet(source: DigitalSource, software: str) -> str:
    """An XMP packet that says how the picture came about, and with what."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f" xmp:CreatorTool={quoteattr(software)} Iptc4xmpExt:DigitalSourceType={quoteattr(source.uri)}/>"
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
