"""Where a file comes from, as metadata that photo software reads: IPTC's Digital Source Type, in XMP.

https://cv.iptc.org/newscodes/digitalsourcetype/ and the IPTC Photo Metadata Standard; the recipe travels beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from services.imaging.carriers.edits import Part, Unfit
from services.imaging.recipes import inscribed
from services.inference.xmp import Description, new_packet, with_description

# Why a recipe lies beside its file.
BESIDE_BECAUSE = "beside_the_file_because"
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
    return new_packet(_description(source, software)).decode()


def told_recipe(recipe: Mapping[str, Any], source: DigitalSource | None) -> str:
    """As JSON, the way a file of ours carries it."""
    told = {} if source is None else {"digital_source_type": source.uri}
    return json.dumps({**recipe, **told, "software": software()}, sort_keys=True, ensure_ascii=False)


def mark(content: bytes, recipe: Mapping[str, Any], source: DigitalSource | None) -> tuple[list[Part], bytes | None]:
    """A file that is kept as it was made, with its recipe inside; for a thread.

    Answers the file in pieces; and the recipe as JSON where it has to lie beside the file, and why, as the file is
    signed, broken, or of a kind that cannot carry it. The file is then as it came.
    """

    def packet_for(old: bytes | None) -> bytes | None:
        if source is None:
            return None
        mine = _description(source, software())
        return new_packet(mine) if old is None else with_description(old, mine)

    try:
        return inscribed(content, told_recipe(recipe, source).encode(), packet_for), None
    except Unfit as error:
        return [content], told_recipe({**recipe, BESIDE_BECAUSE: str(error)}, source).encode()


def software() -> str:
    try:
        return f"atelier {version('atelier')}"
    except PackageNotFoundError:
        return "atelier unreleased"


def _description(source: DigitalSource, tool: str) -> Description:
    return Description(tool, source.uri)
