"""What a model's card says of the words it knows and the sizes it was made for, and what follows for a request."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .request import Request
from .wording import plain, unread_marks, without_marks

WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
# Where a new thought begins: at a mark, or before a word that places what it names.
CLAUSE = re.compile(r"[,.;:!?()\n]|\b(?=(?:on|in|with|at|against|under|over|behind|before|by|showing|outdoors)\b)")
SENTENCE = """
a an and any are as at be both by for from has have i in into is it its like near no not of off on one or our out over
show showing shows some such that the their there these this those to under up very was with you your
"""
# What any sentence holds: to know such words or not makes no picture another.
SMALL_WORDS = frozenset(SENTENCE.split())
NUMBERS = "two three four five six seven eight nine ten eleven twelve dozen several many few some pair"
COUNTS = frozenset(NUMBERS.split())
NEGATIONS = frozenset(("no", "not", "never", "without", "except", "neither", "nor", "cannot"))


@dataclass(frozen=True)
class Vocabulary:
    """All words in lower case; of several words together one alone is not known. `subjects`: each name's product.

    Made for pictures with sides of `least_side` to `most_side` pixels; None: not said.
    """

    products: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    subjects: Mapping[str, str] = field(default_factory=dict)
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
        return word in self.words or word in SMALL_WORDS or all(part in self.words for part in re.split(r"[-']", word))

    def readable(self, text: str) -> str:
        """As the model learnt to read: plain letters, no marks on its words, products in the singular."""
        return WORD.sub(lambda found: self._singular(found[0]), without_marks(plain(text)))

    def essence(self, text: str) -> str:
        """The known words of `text`, clauses that name a product first, as a small model learnt its captions.

        What it does not know would fill its window with letters, and what comes before the product it takes for the
        product's own: "on white, a red mug" turns out white.
        """
        clauses = [
            [word for word in self._words_of(clause) if self._counts(word)] for clause in CLAUSE.split(text.lower())
        ]
        clauses = [clause for clause in clauses if set(clause) - SMALL_WORDS]
        clauses.sort(key=self.subjects.keys().isdisjoint)
        return " ".join(word for clause in clauses for word in clause)

    def warnings(self, request: Request) -> list[dict[str, Any]]:
        """What in the request the model does not read, or lies outside what it was made for, where its card says."""
        # A LoRA may have taught it words of its own.
        said = self._of_words(request.prompt) if self.says_words and not request.loras else []
        return [*said, *_of_marks(request), *self._of_size(request.width, request.height)]

    def _of_words(self, prompt: str) -> list[dict[str, Any]]:
        words = self._words_of(without_marks(plain(prompt)))
        several, negated = self._several(words), _negated(words)
        told = {*several, *negated}
        unknown = [word for word in words if word not in told and not self.knows(self._singular(word))]
        names_none = self.subjects.keys().isdisjoint(map(self._singular, words))
        subject = [self._subject_unknown()] if names_none else []
        several_message = "the model draws one product in a picture, and the prompt asks for more"
        negated_message = "the model leaves nothing out for being named; name it in the negative prompt instead"
        return subject + [
            {"reason": reason, "message": message, "words": list(dict.fromkeys(found))}
            for reason, message, found in (
                ("PROMPT_WORDS_UNKNOWN", "the model does not know these words", unknown),
                ("PROMPT_SUBJECTS_SEVERAL", several_message, several),
                ("PROMPT_NEGATED", negated_message, negated),
            )
            if found
        ]

    def _subject_unknown(self) -> dict[str, Any]:
        known = ", ".join(self.products)
        message = f"the prompt names nothing that the model can draw; it knows: {known}"
        return {"reason": "PROMPT_SUBJECT_UNKNOWN", "message": message, "words": []}

    def _several(self, words: Sequence[str]) -> list[str]:
        """Names of more than one product, and of one what makes it several: its plural, or a number before it."""
        named = [word for word in words if self._singular(word) in self.subjects]
        if len({self.subjects[self._singular(word)] for word in named}) > 1:
            return named
        return [*self._counts_of(words), *(word for word in named if word not in self.subjects)]

    def _counts_of(self, words: Sequence[str]) -> Iterator[str]:
        """Numbers above one that only colours and patterns part from a product."""
        for at, word in enumerate(words):
            if word in COUNTS or (word.isdecimal() and len(word) <= 2 and int(word) > 1):
                beside = {*self.colours, *self.patterns, *SMALL_WORDS}
                after = next((later for later in words[at + 1 :] if later not in beside), "")
                if self._singular(after) in self.subjects:
                    yield word

    def _singular(self, word: str) -> str:
        """Of a product's name; any other word as it is."""
        lower = word.lower()
        if lower in self.words:
            return word
        return next((word[: -len(end)] for end in ("s", "es") if _stem(lower, end) in self.subjects), word)

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


def _stem(word: str, end: str) -> str | None:
    return word[: -len(end)] if word.endswith(end) else None


def _negated(words: Sequence[str]) -> list[str]:
    """Each negation and the word that it is about."""
    found = []
    for at, word in enumerate(words):
        if word in NEGATIONS or word.endswith("n't"):
            found += [word, *[later for later in words[at + 1 :] if later not in SMALL_WORDS][:1]]
    return found


def _of_marks(request: Request) -> list[dict[str, Any]]:
    """Of any model: no encoder here reads them as more than letters."""
    marks = unread_marks(plain(request.prompt), plain(request.negative_prompt))
    message = "weights, tags and parameters of prompt languages are not read as such; LoRAs have a field of their own"
    return [{"reason": "PROMPT_MARKS_UNREAD", "message": message, "words": marks}] if marks else []


def read_vocabulary(index: Mapping[str, Any]) -> Vocabulary:
    """From `_knows` and `_sides` of a model_index.json; one that knows all where neither is there."""
    knows, sides = index.get("_knows") or {}, index.get("_sides") or {}
    lists = {name: _words(knows.get(name)) for name in ("products", "colours", "patterns")}
    subjects = {name: name for name in lists["products"]} | _other_names(knows.get("other_names") or {})
    words = {word for group in (*lists.values(), subjects, _words(knows.get("words"))) for word in group}
    return Vocabulary(
        **lists,
        words=frozenset(words),
        subjects=subjects,
        least_side=sides.get("least"),
        most_side=sides.get("most"),
    )


def _other_names(found: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Of products, each with the product's own name; a list of names alone says no more than that they are some."""
    named = found if isinstance(found, Mapping) else {name: name for name in found}
    return {str(name).lower(): str(product).lower() for name, product in named.items()}


def _words(found: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(str(word).lower() for word in found or ())
