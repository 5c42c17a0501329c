"""What a picture is called: a few plain ways to say kind, colour, pattern and background."""

import numpy as np
from catalogue import COLOURS, KINDS, PATTERNS, Subject

OPENINGS = ("a photo of", "product photo of", "a picture of", "")
NOUNS = {"mug": "cup", "t-shirt": "shirt", "sneaker": "shoe", "handbag": "bag", "sofa": "couch", "watch": "wristwatch"}
PATTERN_WORDS = {"striped": "striped", "dotted": "polka dot", "checkered": "checked"}
PLACES = {
    "white": ("on a white background", "on white"),
    "grey": ("on a grey background", "on gray"),
    "beige": ("on a beige background", "on beige"),
    "light blue": ("on a light blue background", "on light blue"),
    "wooden table": ("on a wooden table", "on wood"),
    "outdoors": ("outdoors", "in a garden"),
}
LENGTH = 24
"""Tokens in a caption, padding included."""


def known() -> dict[str, list[str] | dict[str, str]]:
    """What the model learns to read, for its card."""
    places = [text for variants in PLACES.values() for text in variants]
    texts = ["a an plain", *NOUNS.values(), *PATTERN_WORDS.values(), *OPENINGS, *places]
    # What it has met in company only, it takes for its companion: "studio light" would turn light blue.
    together = ("light blue", "polka dot")
    single = {word for text in texts for word in text.split()} - {word for words in together for word in words.split()}
    return {
        "products": list(KINDS),
        "colours": list(COLOURS),
        "patterns": list(PATTERNS),
        "other_names": {noun: kind for kind, noun in sorted(NOUNS.items(), key=lambda pair: pair[1])},
        "words": sorted({*single, *together}),
    }


def plain_caption(subject: Subject, setting: str) -> str:
    """The one caption a person would type first."""
    pattern = "" if subject.pattern == "plain" else f"{subject.pattern} "
    article = "an" if f"{subject.colour}{pattern}"[0] in "aeo" else "a"
    return f"a photo of {article} {subject.colour} {pattern}{subject.kind} {PLACES[setting][0]}"


def caption(subject: Subject, setting: str, rng: np.random.Generator) -> str:
    """A caption in one of the ways; one in ten leaves the background open, an eighth of the nouns is the rarer one."""
    noun = NOUNS.get(subject.kind, subject.kind) if rng.random() < 0.125 else subject.kind
    words = [subject.colour]
    if subject.pattern != "plain":
        word = PATTERN_WORDS[subject.pattern] if rng.random() < 0.25 else subject.pattern
        words = [subject.colour, word] if rng.random() < 0.6 else [word, subject.colour]
    elif rng.random() < 0.15:
        words = ["plain", subject.colour]
    article = "an" if words[0][0] in "aeiou" else "a"
    opening = OPENINGS[rng.integers(len(OPENINGS))]
    place = "" if rng.random() < 0.1 else PLACES[setting][0 if rng.random() < 0.7 else 1]
    joint = ", " if place and rng.random() < 0.2 else " "
    return f"{opening} {article} {' '.join(words)} {noun}{joint}{place}".strip()
