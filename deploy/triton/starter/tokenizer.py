"""Builds the text tokenizer: merges learnt until every caption word is one token; other words fall to letters."""

import json
import re
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

from captions import LENGTH, NOUNS, OPENINGS, PATTERN_WORDS, PLACES
from catalogue import COLOURS, KINDS, PATTERNS
from transformers import CLIPTokenizer

OTHER_WORDS = (
    "a an the of on in with and at plain style soft shadow studio light dark bright sunny high low quality blurry "
    "professional lighting catalog catalogue style e-commerce image front view minimal modern vintage neon star logo "
    "gold silver teal navy cup shirt shoe bag couch black-white standing simple clean isolated sks"
)
MARKS = (".", ",", "-", "!", "'")


def byte_letters() -> list[str]:
    """The printable stand-in of every byte, as GPT-2's byte-level BPE orders them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(rest))]


def words() -> list[str]:
    """Every word that is to be one token."""
    places = [text for variants in PLACES.values() for text in variants]
    texts = [*KINDS, *COLOURS, *PATTERNS, *NOUNS.values(), *PATTERN_WORDS.values(), *OPENINGS, *places, OTHER_WORDS]
    return sorted({word for text in texts for word in re.findall(r"[a-z]+", text)} | set(MARKS))


def learn_merges(vocabulary: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent first, until each word of the vocabulary is whole."""
    spelled = [[*word[:-1], word[-1] + "</w>"] for word in vocabulary]
    merges = []
    while pairs := Counter(pair for word in spelled for pair in pairwise(word)):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word in spelled:
            _merge(word, best)
    return merges


def _merge(word: list[str], pair: tuple[str, str]) -> None:
    place = 0
    while place < len(word) - 1:
        if (word[place], word[place + 1]) == pair:
            word[place : place + 2] = [pair[0] + pair[1]]
        place += 1


def build_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer of a few hundred tokens, captions cut and padded to 24."""
    merges = learn_merges(words())
    letters = byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, rules = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocabulary.write_text(json.dumps({token: place for place, token in enumerate(tokens)}), "utf-8")
        rules.write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), "utf-8")
        return CLIPTokenizer(
            vocab=str(vocabulary), merges=str(rules), model_max_length=LENGTH, pad_token="<|endoftext|>"
        )
