"""Whose a picture is and how it came about, as its own metadata say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from services.imaging.statements import Statements

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_TERM = re.compile(r"(?:https?://cv\.iptc\.org/newscodes/digitalsourcetype/)?(\w{1,60})/?")
# From the largest share that a model had in a picture to the smallest.
_MODEL_SHARES = (
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "compositeSynthetic",
    "algorithmicMedia",
    "virtualRecording",
    "algorithmicallyEnhanced",
)


@dataclass(frozen=True, slots=True)
class Rights:
    """`digital_source` is the URI of IPTC's digital source type; `recipe` that of an earlier task of ours.

    `data_mining` is what PLUS says of training and mining, `marked` whether there are rights at all ("True", "False").

    `statements` are what else it says of rights, in its own form (statements.py).

    All are what somebody wrote into the file, cleaned and shortened; None or empty where nobody did.
    """

    digital_source: str | None = None
    creators: tuple[str, ...] = ()
    credit: str | None = None
    notice: str | None = None
    usage_terms: str | None = None
    web_statement: str | None = None
    owners: tuple[str, ...] = ()
    marked: str | None = None
    data_mining: str | None = None
    statements: Statements = field(default_factory=dict)
    recipe: dict[str, Any] | None = field(default=None, repr=False)


def source_uri(text: str) -> str | None:
    """The one spelling of a digital source type; None for what is none."""
    found = _TERM.fullmatch(text.strip())
    return VOCABULARY + found.group(1) if found else None


def strongest(sources: Iterable[str | None]) -> str | None:
    """The URI that tells of the largest share of a model; one that speaks of none goes before nothing."""
    told = [source for source in sources if source]
    return min(told, key=_rank) if told else None


def _rank(source: str) -> int:
    term = source.removeprefix(VOCABULARY)
    return _MODEL_SHARES.index(term) if term in _MODEL_SHARES else len(_MODEL_SHARES)
