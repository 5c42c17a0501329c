"""Tells what a model thought aloud from its answer, where it writes both into one text as `<think>…</think>`.

A block begins where a text or one of its lines does; anywhere, once a first block has shown that this model thinks
aloud. Within code, fenced or between backticks, a tag is what the answer is about. Some templates give the opening tag
themselves, so a closing tag on a line of its own ends a block that began with the text. A block that never ends goes on
to the end of the text, unless some of the answer came before it: then it is no block.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_TOKEN = re.compile(r"^[ \t]*(?P<fence>`{3,}|~{3,})|</?think>", re.MULTILINE | re.IGNORECASE)
_TAG = re.compile(r"</?think>", re.IGNORECASE)


class SplitAnswer(NamedTuple):
    """`answer` is the text itself where nothing was thought aloud."""

    answer: str
    thoughts: str


def told_apart(text: str, is_answer: Callable[[str], bool] = lambda rest: False) -> SplitAnswer:
    """The answer, and the thoughts of all blocks. What `is_answer` knows as one is not looked into."""
    thoughts: list[str] = []
    answer, at = "", 0
    while (tag := _next_tag(text, at, anywhere=bool(thoughts))) is not None:
        if is_answer(text[at:]):
            break
        before = text[at : tag.start()]
        if not _opens(tag):
            # The template had opened it.
            thoughts.append(before)
            at = tag.end()
            continue
        ending = _ending_of(text, tag)
        if ending is None and (answer + before).strip():
            break
        answer += before
        thoughts.append(text[tag.end() : ending.start() if ending else len(text)])
        at = ending.end() if ending else len(text)
    if not thoughts:
        return SplitAnswer(text, "")
    return SplitAnswer((answer + text[at:]).strip(), joined(*thoughts))


def joined(*thoughts: str) -> str:
    """With an empty line between two of them."""
    return "\n\n".join(filter(None, map(str.strip, thoughts)))


def _next_tag(text: str, at: int, *, anywhere: bool) -> re.Match[str] | None:
    """The next one outside of code that begins a block, or ends the one that began with the text."""
    fence = ""
    for token in _TOKEN.finditer(text, at):
        found = token["fence"]
        if found and not fence:
            fence = found
        elif found and found.startswith(fence) and _ends_line(text, token):
            fence = ""
        elif found or fence or _between_ticks(text, token):
            continue
        elif _opens(token):
            if anywhere or _begins_line(text, token):
                return token
        elif at == 0 and not anywhere and _begins_line(text, token) and _ends_line(text, token):
            return token
    return None


def _ending_of(text: str, opening: re.Match[str]) -> re.Match[str] | None:
    """The tag that closes it, past blocks inside; where they do not match, the first that closes anything."""
    first, depth = None, 1
    for tag in _TAG.finditer(text, opening.end()):
        if not _opens(tag):
            first, depth = first or tag, depth - 1
        elif _begins_line(text, tag):
            depth += 1
        if depth == 0:
            return tag
    return first


def _opens(tag: re.Match[str]) -> bool:
    return not tag[0].startswith("</")


def _begins_line(text: str, tag: re.Match[str]) -> bool:
    return not text[text.rfind("\n", 0, tag.start()) + 1 : tag.start()].strip()


def _ends_line(text: str, tag: re.Match[str]) -> bool:
    return not text[tag.end() :].partition("\n")[0].strip()


def _between_ticks(text: str, tag: re.Match[str]) -> bool:
    return text.count("`", text.rfind("\n", 0, tag.start()) + 1, tag.start()) % 2 == 1
