"""XMP packets (ISO 16684-1): a new one, or another's with what it lacks of ours added."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from services.imaging.embedding.edits import C2PA, CannotEmbed
from services.imaging.statements import Statements, Value
from services.imaging.xmp import (
    CREATOR,
    CREDIT,
    DATA_MINING,
    MARKED,
    NAMESPACES,
    OWNER,
    RIGHTS,
    SOURCE_TYPE,
    USAGE_TERMS,
    WEB_STATEMENT,
    whole_name,
)

_INVALID = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A stranger named the properties, if only within our namespaces.
_NAME = re.compile(rf"(?:{'|'.join(NAMESPACES)}):\w[\w.-]*")
# How each is written, by its field of a description.
_ATTRIBUTES = {
    "tool": "xmp:CreatorTool",
    "source": SOURCE_TYPE,
    "credit": CREDIT,
    "web_statement": WEB_STATEMENT,
    "marked": MARKED,
    "data_mining": DATA_MINING,
}
_LISTS = {"creators": (CREATOR, "rdf:Seq"), "owners": (OWNER, "rdf:Bag")}
_TEXTS = {"notice": RIGHTS, "usage_terms": USAGE_TERMS}
# Addresses of which Creative Commons and Dublin Core say that they are references and no texts.
_REFERENCES = frozenset(
    (
        *(f"cc:{term}" for term in ("license", "permits", "requires", "prohibits", "jurisdiction", "legalcode")),
        *(f"cc:{term}" for term in ("attributionURL", "morePermissions", "useGuidelines")),
        *("dcterms:license", "dcterms:rightsHolder"),
    )
)
_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
_PROPERTIES = {field: whole_name(name) for field, name in {**_ATTRIBUTES, **_TEXTS}.items()}
_ABOUT, _RDF = map(whole_name, ("rdf:about", "rdf:RDF"))
_DECLARED = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
_META = "{adobe:ns:meta/}xmpmeta"
# Where the manifest of a signed file lies, if not inside it.
_SIGNED_ELSEWHERE = "{http://purl.org/dc/terms/}provenance"
_CLOSING = re.compile(rb"</(?:[\w.-]+:)?RDF\s*>")


@dataclass(frozen=True, slots=True)
class XmpDescription:
    """`tool` made the file, in the way that IPTC's `source` names, and the rest says whose it is.

    None or empty where there is nothing to say, or somebody else has said so.
    """

    tool: str | None
    source: str | None
    creators: tuple[str, ...] = ()
    credit: str | None = None
    notice: str | None = None
    usage_terms: str | None = None
    web_statement: str | None = None
    owners: tuple[str, ...] = ()
    marked: str | None = None
    data_mining: str | None = None
    statements: Statements = field(default_factory=dict)

    @property
    def is_owned(self) -> bool:
        return replace(self, tool=None, source=None) != XmpDescription(None, None)

    def without(self, said: Callable[[str], bool]) -> XmpDescription:
        """Without the properties whose names `said` answers to."""
        left: dict[str, Any] = {field: None for field, name in _PROPERTIES.items() if said(name)}
        left["statements"] = {name: told for name, told in self.statements.items() if not said(whole_name(name))}
        left |= {field: () for field, (name, _) in _LISTS.items() if said(whole_name(name))}
        return replace(self, **left)

    def as_xml(self, about: str = "") -> str:
        values = (getattr(self, field) for field in _ATTRIBUTES)
        attributes = "".join(
            f" {name}={quoteattr(_valid(value))}"
            for name, value in zip(_ATTRIBUTES.values(), values, strict=True)
            if value
        )
        lists = "".join(_list(*how, items) for field, how in _LISTS.items() if (items := getattr(self, field)))
        texts = "".join(_alternative(name, text) for field, name in _TEXTS.items() if (text := getattr(self, field)))
        texts += "".join(_statement(name, **told) for name, told in self.statements.items() if _NAME.fullmatch(name))
        return (
            f"<rdf:Description{_DECLARED} rdf:about={quoteattr(about)}"
            f"{attributes}{f'>{lists}{texts}</rdf:Description>' if lists or texts else '/>'}"
        )


def _list(name: str, kind: str, items: tuple[str, ...]) -> str:
    told = "".join(f"<rdf:li>{escape(_valid(item))}</rdf:li>" for item in items)
    return f"<{name}><{kind}>{told}</{kind}></{name}>"


def _alternative(name: str, text: str) -> str:
    return f'<{name}><rdf:Alt><rdf:li xml:lang="x-default">{escape(_valid(text))}</rdf:li></rdf:Alt></{name}>'


def _statement(name: str, kind: str, values: list[Value]) -> str:
    if not kind:
        return "".join(_item(name, name, value) for value in values[:1])
    if kind == "Alt":
        items = "".join(_element("rdf:li", value, ' xml:lang="x-default"') for value in values)
    else:
        items = "".join(_item("rdf:li", name, value) for value in values)
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"


def _item(element: str, name: str, value: Value) -> str:
    """Of the property of that name."""
    if name in _REFERENCES and isinstance(value, str) and _ADDRESS.fullmatch(value):
        return f"<{element} rdf:resource={quoteattr(_valid(value))}/>"
    return _element(element, value)


def _element(name: str, value: Value, attributes: str = "") -> str:
    if isinstance(value, str):
        return f"<{name}{attributes}>{escape(_valid(value))}</{name}>"
    parts = "".join(_item(part, part, text) for part, text in value.items() if _NAME.fullmatch(part))
    return f'<{name} rdf:parseType="Resource">{parts}</{name}>'


def _valid(text: str) -> str:
    """Without what XML 1.0 has no place for."""
    return _INVALID.sub(" ", text)


def new_packet(mine: XmpDescription) -> bytes:
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}">'
        f'{mine.as_xml()}</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    return text.encode()


def with_description(packet: bytes, mine: XmpDescription) -> bytes | None:
    """What the packet lacks of `mine`, added to it; what it says itself stays, byte by byte.

    None where that is not safe, or where nothing is lacking.

    Raises:
        CannotEmbed: it points to a signature elsewhere, which the change would break.
    """
    rdf = _parsed(packet)
    if rdf is None:
        return None
    if _says(rdf, _SIGNED_ELSEWHERE):
        raise CannotEmbed(C2PA)
    lacking = mine.without(lambda name: _says(rdf, name))
    closings = list(_CLOSING.finditer(packet))
    subjects = {item.get(_ABOUT, "") for item in rdf}
    if lacking == XmpDescription(None, None) or len(closings) != 1 or len(subjects) > 1:
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
    return rdf if rdf.tag == _RDF else None


def _says(rdf: ET.Element, name: str) -> bool:
    return any(name in item.attrib or item.find(name) is not None for item in rdf)
