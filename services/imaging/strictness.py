"""Of two words about the same right the one that allows less."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import reduce

_PLUS = "http://ns.useplus.org/ldf/vocab/"
_PROHIBITED = "DMI-PROHIBITED"
# The PLUS vocabularies that go from more to less, strictest first: a release that is missing counts as none.
_ORDERS: tuple[tuple[str, ...], ...] = (
    (
        _PROHIBITED,
        "DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING",
        "DMI-PROHIBITED-AIMLTRAINING",
        "DMI-PROHIBITED-GENAIMLTRAINING",
        "DMI-ALLOWED",
        "DMI-UNSPECIFIED",
    ),
    ("CR-COI", "CR-CAI", "CR-CCA", "CR-NRQ"),
    ("DP-NOD", "DP-LIC", "DP-NDC"),
    ("CS-PRO", "CS-UNK", "CS-PUB"),
    ("CW-AWR", "CW-UNK", "CW-NRQ"),
    ("MR-NON", "MR-LMR", "MR-UMR", "MR-NAP"),
    ("PR-NON", "PR-LPR", "PR-UPR", "PR-NAP"),
    ("AG-U14", *(f"AG-A{age}" for age in range(15, 26)), "AG-UNK"),
    ("True", "False"),
)
_RANKS = {word: (order, rank) for order, words in enumerate(_ORDERS) for rank, word in enumerate(words)}
_LICENCE = re.compile(r"https?://creativecommons\.org/(?:licenses/([a-z+-]+)|publicdomain/(?:zero|mark))(?:/.*)?")


def strictest(words: Iterable[str | None]) -> str | None:
    """Of what several say in one vocabulary; the first of words that cannot be compared. None where nobody says any."""
    told: Sequence[str] = list(filter(None, words))
    return reduce(_stricter, told) if told else None


def _stricter(first: str, second: str) -> str:
    one, other = _term(first), _term(second)
    if one == other:
        return first
    if one.startswith(_PROHIBITED) and other.startswith(_PROHIBITED) and not {one, other} <= _RANKS.keys():
        # One of them is bound to terms that stand elsewhere: what is within both is not known.
        return _PLUS + _PROHIBITED
    ranks = _rank(one), _rank(other)
    if ranks[0] is None or ranks[1] is None or ranks[0][0] != ranks[1][0]:
        return second if set() < _demands(first) < _demands(second) else first
    return first if ranks[0] <= ranks[1] else second


def _term(word: str) -> str:
    term = word.strip().removeprefix(_PLUS)
    return term.upper() if term.upper().startswith("DMI-") else term


def _rank(term: str) -> tuple[int, int] | None:
    """A prohibition whose terms stand elsewhere is one all the same."""
    return _RANKS.get(term, _RANKS[_PROHIBITED] if term.startswith(_PROHIBITED) else None)


def _demands(word: str) -> frozenset[str]:
    """What a licence of Creative Commons asks for (by, nc, nd, sa), and that it is one; empty of any other word."""
    found = _LICENCE.fullmatch(word.strip())
    return frozenset({"cc", *filter(None, (found[1] or "").split("-"))}) if found else frozenset()
