"""A prompt as it was meant: typographic characters made plain, and marks of prompt languages told from its words."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain

# Hyphens and dashes within a word, and apostrophes, as word processors and other keyboards write them.
_PLAIN = {
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2043\u2212"), "-"),
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u02bc\u02b9\u2032`\u00b4"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"), '"'),
    # Compatibility would make letters of the word before out of these.
    **dict.fromkeys(map(ord, "\u2122\u2120\u00ae\u00a9"), " "),
}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
# Each with its words, if it has any, as group 1.
_MARKS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\(([^()]*):\s*{_NUMBER}\s*\)",
        rf"\(([^()]*)\)(?:\+{{1,8}}|-{{1,8}}|{_NUMBER})(?![\w(])",
        r"\(\(([^()]*)\)\)",
        r"\[\[([^\[\]]*)\]\]",
        r"\{\{([^{}]*)\}\}",
        rf"\[([^\[\]:|]*)(?::[^\[\]:]*)?:\s*{_NUMBER}\s*\]",
        r"\[([^\[\]:|]*)\|[^\[\]]*\]",
        r"(?<![\w'+-])(\w[\w'-]{0,60}?)(?:\+{2,8}|-{2,8})(?![\w+-])",
        r"<(?:lora|lyco|hypernet|embedding):[^<>]*>()",
        r"(?<!\S)--no\s[^-]*()",
        r"(?<!\S)--[a-z]{1,20}\b(?:\s+[\d.:]{1,12}(?!\S))?()",
        r"\bBREAK\b()",
    )
)
# One mark within the other, so many deep.
_DEEPEST = 8


def plain(text: str) -> str:
    """Full-width letters, ligatures, curly quotes and hyphens that do not break as a keyboard has them."""
    compatible = unicodedata.normalize("NFKC", text.translate(_PLAIN)).translate(_PLAIN)
    return "".join(sign for sign in compatible if unicodedata.category(sign) != "Cf")


def without_marks(text: str) -> str:
    """Its words alone, where weights and their like are put on them."""
    for _ in range(_DEEPEST):
        stripped = text
        for mark in _MARKS:
            stripped = mark.sub(r"\1 ", stripped)
        if stripped == text:
            break
        text = stripped
    return text


def unread_marks(*texts: str) -> list[str]:
    """What weighs, schedules or names something in the languages of A1111, Compel and Midjourney, in order."""
    return list(dict.fromkeys(chain.from_iterable(map(_marks_of, texts))))


def _marks_of(text: str) -> Iterator[str]:
    spans = (match.span() for mark in _MARKS for match in mark.finditer(text))
    found = sorted(spans, key=lambda span: (span[0], -span[1]))
    reached = 0
    for start, end in found:
        if start >= reached:
            yield text[start:end].strip()
            reached = end
