"""What a model's card says of the words it knows and the sizes it was made for, and what follows for a request."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .request import Request

WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
# Where a new thought begins: at a mark, or before a word that places what it names.
CLAUSE = re.compile(r"[,.;:!?()\n]|\b(?=(?:on|in|with|at|against|under|over|behind|before|by|showing|outdoors)\b)")
SENTENCE = """
a an and any are as at be both by for from has have i in into is it its like near no not of off on one or our out over
show showing shows some such that the their there these this those to under up very was with you your
"""
# What any sentence holds: to know such words or not makes no picture another.
SMALL_WORDS = frozenset(SENTENCE.split())


@dataclass(frozen=True)
class Vocabulary:
    """All words in lower case; of several words together one alone is not known.

    Made for pictures with sides of `least_side` to `most_side` pixels; None: not said.
    """

    products: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    least_side: int | None = None
    most_side: int | None = None

    @cached_property
    def _spoken(self) -> re.Pattern[str]:
        together = sorted((words for words in self.words if " " in words), key=len, reverse=True)
        return re.compile("|".join([*(rf"\b{re.escape(words)}\b" for words in together), WORD.pattern]))

    @property
    def says_words(self) -> bool:
        return bool(self.words)

    def as_event(self) -> dict[str, Any]:
        """What the model is made for, as the description tells it."""
        made_for: dict[str, Any] = {}
        if self.says_words:
            made_for |= {name: list(getattr(self, name)) for name in ("products", "colours", "patterns")}
        if self.least_side is not None:
            made_for["sides"] = {"least": self.least_side, "most": self.most_side}
        return made_for

    def knows(self, word: str) -> bool:
        """A compound is known where its parts are."""
        return word in self.words or word in SMALL_WORDS or all(part in self.words for part in re.split(r"[-'’]", word))

    def essence(self, text: str) -> str:
        """The known words of `text`, clauses that name a product first, as a small model learnt its captions.

        What it does not know would fill its window with letters, and what comes before the product it takes for the
        product's own: "on white, a red mug" turns out white.
        """
        clauses = [
            [word for word in self._words_of(clause) if self._counts(word)] for clause in CLAUSE.split(text.lower())
        ]
        clauses = [clause for clause in clauses if set(clause) - SMALL_WORDS]
        clauses.sort(key=lambda clause: self.subjects.isdisjoint(clause))
        return " ".join(word for clause in clauses for word in clause)

    def warnings(self, request: Request) -> list[dict[str, Any]]:
        """What in the request lies outside what the model was made for; nothing where its card does not say."""
        # A LoRA may have taught it words of its own.
        said = self._of_words(request.prompt) if self.says_words and not request.loras else []
        return [*said, *self._of_size(request.width, request.height)]

    def _of_words(self, prompt: str) -> list[dict[str, Any]]:
        words = self._words_of(prompt)
        unknown = list(dict.fromkeys(word for word in words if not self.knows(word)))
        found = []
        if self.subjects.isdisjoint(words):
            known = ", ".join(self.products)
            message = f"the prompt names nothing that the model can draw; it knows: {known}"
            found.append({"reason": "PROMPT_SUBJECT_UNKNOWN", "message": message, "words": []})
        if unknown:
            message = "the model does not know these words"
            found.append({"reason": "PROMPT_WORDS_UNKNOWN", "message": message, "words": unknown})
        return found

    def _of_size(self, width: int, height: int) -> list[dict[str, Any]]:
        if self.least_side is None or self.most_side is None:
            return []
        if self.least_side <= min(width, height) and max(width, height) <= self.most_side:
            return []
        sides = f"{self.least_side}" if self.least_side == self.most_side else f"{self.least_side} to {self.most_side}"
        message = f"{width}x{height} is not a size the model was made for: sides of {sides} pixels"
        return [{"reason": "SIZE_UNUSUAL", "message": message, "words": []}]

    def _counts(self, word: str) -> bool:
        return word in self.words or (word not in SMALL_WORDS and self.knows(word))

    def _words_of(self, text: str) -> list[str]:
        return self._spoken.findall(" ".join(text.lower().split()))


def read_vocabulary(index: Mapping[str, Any]) -> Vocabulary:
    """From `_knows` and `_sides` of a model_index.json; one that knows all where neither is there."""
    knows, sides = index.get("_knows") or {}, index.get("_sides") or {}
    lists = {name: _words(knows.get(name)) for name in ("products", "colours", "patterns")}
    subjects = {*lists["products"], *_words(knows.get("other_names"))}
    words = {word for group in (*lists.values(), subjects, _words(knows.get("words"))) for word in group}
    return Vocabulary(
        **lists,
        words=frozenset(words),
        subjects=frozenset(subjects),
        least_side=sides.get("least"),
        most_side=sides.get("most"),
    )


def _words(found: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(str(word).lower() for word in found or ())
