"""Where a file comes from, as metadata that photo software reads: IPTC's Digital Source Type, in XMP.

https://cv.iptc.org/newscodes/digitalsourcetype/ and the IPTC Photo Metadata Standard; the recipe travels beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from services.imaging.embedding.edits import CannotEmbed, Part
from services.imaging.recipes import inscribed
from services.imaging.rights import VOCABULARY, strongest
from services.inference.lineage import NO_LINEAGE, Lineage
from services.inference.xmp import XmpDescription, new_packet, with_description

# Why a recipe lies beside its file.
BESIDE_BECAUSE = "beside_the_file_because"


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
        return VOCABULARY + self.value


# What was done to a picture, after which it is still of the kind that its metadata name: none of them was a camera's.
_CAPTURES = frozenset(
    VOCABULARY + term
    for term in (
        "digitalCapture",
        "computationalCapture",
        "negativeFilm",
        "positiveFilm",
        "print",
        "humanEdits",
        "minorHumanEdits",
        DigitalSource.ENHANCED.value,
    )
)


def source_after(mine: DigitalSource | None, lineage: Lineage) -> str | None:
    """The digital source type of a result: what this task did, and never less of a model than its pictures had.

    A picture that a model drew stays one, cropped, recoloured or drawn over; beside others it makes a composite. What
    is no photograph stays what it is, as long as no model draws in it. `mine` is None where nothing was done.
    """
    earlier = lineage.sources
    if mine is DigitalSource.GENERATED or not earlier:
        return mine.uri if mine else None
    if all(source == DigitalSource.GENERATED.uri for source in earlier):
        return DigitalSource.GENERATED.uri
    if mine is DigitalSource.COMPOSITE or (len(earlier) > 1 and DigitalSource.GENERATED.uri in earlier):
        return DigitalSource.COMPOSITE.uri
    told = strongest(earlier)
    if mine is None or (told is not None and told not in _CAPTURES):
        return told
    return mine.uri


def xmp_packet(source: DigitalSource | None, software: str, lineage: Lineage = NO_LINEAGE) -> str | None:
    """An XMP packet that says how the picture came about, with what, and whose it is; None where there is nothing."""
    mine = _description(source, software, lineage)
    return new_packet(mine).decode() if mine.source or mine.is_owned else None


def told_recipe(recipe: Mapping[str, Any], source: DigitalSource | None, lineage: Lineage = NO_LINEAGE) -> str:
    """As JSON, the way a file of ours carries it."""
    uri = source_after(source, lineage)
    told = {} if uri is None else {"digital_source_type": uri}
    whole = {**recipe, **lineage.told(), **told, "software": software()}
    return json.dumps(whole, sort_keys=True, ensure_ascii=False)


def mark(
    content: bytes, recipe: Mapping[str, Any], source: DigitalSource | None, lineage: Lineage = NO_LINEAGE
) -> tuple[list[Part], bytes | None]:
    """A file that is kept as it was made, with its recipe inside; for a thread.

    Answers the file in pieces; and the recipe as JSON where it has to lie beside the file, and why, as the file is
    signed, broken, or of a kind that cannot carry it. The file is then as it came.
    """

    def packet_for(old: bytes | None) -> bytes | None:
        mine = _description(source, software(), lineage)
        if not (mine.source or mine.is_owned):
            return None
        return new_packet(mine) if old is None else with_description(old, mine)

    try:
        return inscribed(content, told_recipe(recipe, source, lineage).encode(), packet_for), None
    except CannotEmbed as error:
        return [content], told_recipe({**recipe, BESIDE_BECAUSE: str(error)}, source, lineage).encode()


@lru_cache(maxsize=1)
def software() -> str:
    try:
        return f"atelier {version('atelier')}"
    except PackageNotFoundError:
        return "atelier unreleased"


def _description(source: DigitalSource | None, tool: str, lineage: Lineage) -> XmpDescription:
    rights = lineage.rights
    return XmpDescription(
        tool,
        source_after(source, lineage),
        creators=rights.creators,
        credit=rights.credit,
        notice=rights.notice,
        usage_terms=rights.usage_terms,
        web_statement=rights.web_statement,
        owners=rights.owners,
        marked=rights.marked,
        data_mining=rights.data_mining,
        statements=rights.statements,
    )
