"""Texts that a model is to go by: at least one character of them can be seen."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

# Control and format characters, halves of characters, unassigned ones, and every kind of space.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Cn", "Zs", "Zl", "Zp"})
# Letters and marks that show nothing (DerivedCoreProperties.txt, Default_Ignorable_Code_Point), and the blank Braille
# pattern.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | frozenset(
    map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
# The context of validating what was accepted once, by the rules of its day.
AS_STORED = {"stored": True}


def is_blank(text: str) -> bool:
    return not any(map(_is_visible, text))


def check_visible(text: str, info: ValidationInfo) -> str:
    """Raises ValueError for a text of which nothing can be seen."""
    if is_blank(text) and info.context != AS_STORED:
        raise ValueError("must have at least one visible character")
    return text


def check_visible_if_any(text: str, info: ValidationInfo) -> str:
    """As `check_visible`; an empty text stands for none."""
    return check_visible(text, info) if text else text


# Hyphens and dashes as word processors and other keyboards write them.
_HYPHENS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2043\u2212"), "-")


def plain(text: str) -> str:
    """As a keyboard has it, in lower case: for looking up words in it, never for a model."""
    compatible = unicodedata.normalize("NFKC", text.translate(_HYPHENS)).translate(_HYPHENS).lower()
    return "".join(sign for sign in compatible if unicodedata.category(sign) != "Cf")


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in _INVISIBLE and character not in _FILLERS


MAX_PROMPT = 4_000
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT), AfterValidator(check_visible)]
# Left empty it is as if it were left out.
OptionalPrompt = Annotated[str, Field(max_length=MAX_PROMPT), AfterValidator(check_visible_if_any)]
LongPrompt = Annotated[str, Field(max_length=20_000), AfterValidator(check_visible_if_any)]
