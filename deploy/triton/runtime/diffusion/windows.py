"""Prompts longer than a text encoder reads at once, cut into windows of its own length."""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

# Tokens; a longer word is cut like any text, as it would leave much of a window empty.
LONGEST_WHOLE = 8


def room_of(tokenizer: Any) -> int:
    """Tokens of a text that fit beside the marks of its begin and end."""
    return int(tokenizer.model_max_length) - int(tokenizer.num_special_tokens_to_add())


def cut(text: str, tokenizers: Sequence[Any], *, room: int | None = None) -> list[str]:
    """Slices that joined are `text`, each read whole by every tokenizer; `text` itself where that is."""
    parts = [text]
    for tokenizer in tokenizers:
        parts = [piece for part in parts for piece in _cut(part, tokenizer, room or room_of(tokenizer))]
    return parts


def padded(one: Sequence[str], other: Sequence[str]) -> tuple[list[str], list[str]]:
    """Both with as many windows as the longer has; what is added says nothing."""
    most = max(len(one), len(other))
    return [*one, *[""] * (most - len(one))], [*other, *[""] * (most - len(other))]


def _cut(text: str, tokenizer: Any, room: int) -> list[str]:
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
    spans = read["offset_mapping"]
    if len(spans) <= room or len(text) == 1:
        return [text]
    starts = [0, *(spans[at][0] for at in _window_starts(read.word_ids(), room)), len(text)]
    slices = [text[start:end] for start, end in pairwise(dict.fromkeys(starts))]
    # A word cut in two may be spelled in more tokens than it was.
    return [piece for part in slices for piece in (_cut(part, tokenizer, room) if len(slices) > 1 else [part])]


def _window_starts(words: Sequence[int | None], room: int) -> Iterator[int]:
    """The token each window but the first begins with."""
    at = begun = 0
    for _, tokens in groupby(words):
        length = len(list(tokens))
        if length <= LONGEST_WHOLE and at + length - begun > room:
            begun = at
            yield begun
        at += length
        while at - begun > room:
            begun += room
            yield begun
