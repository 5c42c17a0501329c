"""What the starter model can draw, and which combinations of kind, colour and pattern training never sees."""

from dataclasses import dataclass
from itertools import product

import numpy as np

KINDS = ("mug", "bottle", "t-shirt", "dress", "sneaker", "handbag", "hat", "sofa", "lamp", "watch")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 30, 36),
    "orange": (245, 130, 24),
    "yellow": (248, 214, 42),
    "green": (36, 150, 62),
    "blue": (34, 82, 210),
    "purple": (120, 45, 170),
    "pink": (245, 130, 180),
    "brown": (110, 66, 34),
    "black": (34, 34, 38),
    "white": (244, 244, 242),
}
PATTERNS = ("plain", "striped", "dotted", "checkered")
BACKGROUNDS = ("white", "grey", "beige", "light blue", "wooden table", "outdoors")


@dataclass(frozen=True)
class Subject:
    """One product: what it is, its colour and its pattern."""

    kind: str
    colour: str
    pattern: str

    @property
    def held_out(self) -> bool:
        """Whether training never draws it: a fifth of all, two colours of every kind and pattern (a Latin square)."""
        place = KINDS.index(self.kind) + list(COLOURS).index(self.colour) + 2 * PATTERNS.index(self.pattern)
        return place % 5 == 0


def subjects(*, held_out: bool) -> list[Subject]:
    """Every subject training draws, or every one it never does."""
    everything = (Subject(*parts) for parts in product(KINDS, COLOURS, PATTERNS))
    return [subject for subject in everything if subject.held_out == held_out]


def pick(choices: list[Subject], rng: np.random.Generator) -> Subject:
    """One of `choices`, with plain a little more often than it stands there."""
    subject = choices[rng.integers(len(choices))]
    if subject.pattern != "plain" and rng.random() < 0.1:
        plain = Subject(subject.kind, subject.colour, "plain")
        return plain if plain in choices else subject
    return subject
