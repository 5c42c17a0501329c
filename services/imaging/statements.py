"""What a picture's XMP says of rights beyond the properties that are known one by one, in its own form."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from services.imaging.strictness import strictest
from services.imaging.xmp import NAMESPACES, whole_name

# Text, or the texts of its parts by their names.
Value: TypeAlias = str | dict[str, str]
# By the name of the property.
Statements: TypeAlias = dict[str, dict[str, Any]]
# Of these every property: PLUS (licensors, releases, constraints), Creative Commons, and the rest of XMP's own rights.
_WHOLE = ("plus", "cc", "xmpRights")
# Of others what speaks of rights: whom to ask and what to heed, encoded rights expressions.
_SINGLE = frozenset(
    (
        "photoshop:Instructions",
        "photoshop:Source",
        "photoshop:AuthorsPosition",
        "Iptc4xmpCore:CreatorContactInfo",
        "Iptc4xmpExt:EmbdEncRightsExpr",
        "Iptc4xmpExt:LinkedEncRightsExpr",
        "dcterms:license",
        "dcterms:rightsHolder",
    )
)
_MOST_CHARACTERS = 8000
_LISTS = ("Seq", "Bag")
_PERMISSIONS = "cc:permits"
_KINDS = {whole_name(f"rdf:{kind}"): kind for kind in ("Seq", "Bag", "Alt")}
_LI, _RESOURCE, _DESCRIPTION = map(whole_name, ("rdf:li", "rdf:resource", "rdf:Description"))
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_PREFIXES = {uri: prefix for prefix, uri in NAMESPACES.items()}


class TooMuch(ValueError):
    """More, or of another form, than is carried over."""


@dataclass(frozen=True, slots=True)
class Found:
    """`said` by the names of properties; `complete` unless there was more than is carried over."""

    said: Statements
    complete: bool


def statements_of(
    descriptions: list[ET.Element], known: frozenset[str], cleaned: Callable[[list[str]], list[str]]
) -> Found:
    """All but the `known` ones, which are read by themselves; texts as `cleaned` leaves them."""
    said: Statements = {}
    complete, room = True, _MOST_CHARACTERS
    for name, item in _properties(descriptions):
        if name in known or name in said or not _speaks_of_rights(name):
            continue
        try:
            statement = _statement(item, cleaned)
        except TooMuch:
            complete = False
            continue
        size = len(str(statement))
        if not statement["values"]:
            continue
        if size > room:
            complete = False
            continue
        said[name], room = statement, room - size
    return Found(said, complete)


def _speaks_of_rights(name: str) -> bool:
    return name in _SINGLE or name.partition(":")[0] in _WHOLE


def _properties(descriptions: list[ET.Element]) -> Iterator[tuple[str, ET.Element | str]]:
    for description in descriptions:
        yield from ((_name(key), value) for key, value in description.attrib.items())
        yield from ((_name(item.tag), item) for item in description)


def _name(whole: str) -> str:
    """With its usual prefix; empty where nobody knows it here."""
    uri, _, local = whole.removeprefix("{").partition("}")
    return f"{_PREFIXES[uri]}:{local}" if uri in _PREFIXES else ""


def _statement(item: ET.Element | str, cleaned: Callable[[list[str]], list[str]]) -> dict[str, Any]:
    """Raises TooMuch."""
    if isinstance(item, str):
        return {"kind": "", "values": cleaned([item])}
    container = next((child for child in item if child.tag in _KINDS), None)
    kind = "" if container is None else _KINDS[container.tag]
    items = [item] if container is None else container.findall(_LI)
    if kind == "Alt":
        items = sorted(items, key=lambda li: li.get(_LANGUAGE) != "x-default")
        if len({li.text for li in items}) > 1:
            raise TooMuch("in several languages")
    values = [value for value in (_value(li, cleaned) for li in items) if value]
    return {"kind": kind, "values": values[:1] if kind == "Alt" else values}


def _value(item: ET.Element, cleaned: Callable[[list[str]], list[str]]) -> Value:
    inner = next(iter(item.findall(_DESCRIPTION)), item)
    parts: dict[str, str] = {}
    for name, part in _properties([inner]):
        if not name and not isinstance(part, str):
            raise TooMuch("it has parts that are not known")
        if name and not name.startswith("rdf:") and (text := _text(part, cleaned)):
            parts[name] = text
    return parts or _text(item, cleaned)


def _text(item: ET.Element | str, cleaned: Callable[[list[str]], list[str]]) -> str:
    """Raises TooMuch of what has parts of its own but one text, plain or as an alternative."""
    if isinstance(item, str):
        return "".join(cleaned([item]))
    lines = list(item.iter(_LI))
    if len(lines) > 1 or (len(item) and not lines):
        raise TooMuch("it nests")
    line = lines[0] if lines else item
    if len(line):
        raise TooMuch("it nests")
    return "".join(cleaned([line.get(_RESOURCE) or line.text or ""]))


def merged(every: Iterable[Statements]) -> Statements:
    """Of lists what any of them says, of permissions what all say; of everything else the strictest word.

    The first, where none is stricter.
    """
    whole: Statements = {}
    for statements in every:
        for name, told in statements.items():
            first = whole.setdefault(name, told)
            whole[name] = {**first, "values": _both(name, first, told)}
    return whole


def _both(name: str, first: dict[str, Any], told: dict[str, Any]) -> list[Value]:
    values: list[Value] = first["values"]
    others: list[Value] = told["values"]
    if name == _PERMISSIONS:
        return [value for value in values if value in others]
    if told["kind"] in _LISTS and first["kind"] in _LISTS:
        return values + [value for value in others if value not in values]
    words = [value for value in (*values[:1], *others[:1]) if isinstance(value, str)]
    return values if len(words) < 2 else [strictest(words) or words[0]]
