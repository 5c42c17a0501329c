"""Thoughts that a model writes into its answer, told apart from it."""

from __future__ import annotations

import time

import pytest

from services.providers.chat.thoughts import told_apart

FENCED = "Use it so:\n\n```xml\n<think>\nplan\n</think>\n```\nDone."


@pytest.mark.field("49")
@pytest.mark.parametrize(
    ("text", "answer", "thoughts"),
    [
        ("Just this.", "Just this.", ""),
        ("<think>Hm.</think>Blue.", "Blue.", "Hm."),
        ("<think>\nHm.\n\nWell.\n</think>\n\nBlue.\n", "Blue.", "Hm.\n\nWell."),
        ("  \n<think>Hm.</think> Blue.", "Blue.", "Hm."),
        ("<THINK>Hm.</Think>Blue.", "Blue.", "Hm."),
        # Models told not to think leave the block empty.
        ("<think>\n\n</think>\n\nBlue.", "Blue.", ""),
        ("<think></think>", "", ""),
        # Several.
        ("<think>a</think>One. <think>b</think>Two.", "One. Two.", "a\n\nb"),
        ("One.\n<think>b</think>\nTwo.", "One.\n\nTwo.", "b"),
        ("<think>a\n<think>b</think>\nc</think>One.", "One.", "a\n<think>b</think>\nc"),
        ("<think>They ask about <think> tags.</think>One.", "One.", "They ask about <think> tags."),
        # Never closed.
        ("<think>Hm, let me", "", "Hm, let me"),
        ("<think>a</think>\n<think>Hm, let me", "", "a\n\nHm, let me"),
        ("<think>a</think>One.\n<think>Hm, let me", "One.\n<think>Hm, let me", "a"),
        ("One.\n<think>Hm, let me", "One.\n<think>Hm, let me", ""),
        # Opened by the template.
        ("Hm.\nWell.\n</think>\n\nBlue.", "Blue.", "Hm.\nWell."),
        ("</think>\nBlue.", "Blue.", ""),
        ("Close it with </think> at the end.", "Close it with </think> at the end.", ""),
        # What the answer is about.
        (FENCED, FENCED, ""),
        (f"<think>plan</think>{FENCED}", FENCED, "plan"),
        ("~~~\n<think>a</think>\n~~~", "~~~\n<think>a</think>\n~~~", ""),
        ("````\n```\n<think>a</think>\n```\n````", "````\n```\n<think>a</think>\n```\n````", ""),
        ("```\n<think>a</think>\nnever closed", "```\n<think>a</think>\nnever closed", ""),
        ("```\ncode\n```\n<think>a</think>\nOne.", "```\ncode\n```\n\nOne.", "a"),
        ("`<think>a</think>` is a tag.", "`<think>a</think>` is a tag.", ""),
        ("<think>a</think>Write `<think>b</think>` then.", "Write `<think>b</think>` then.", "a"),
        ("The pair <think>a</think> is a tag.", "The pair <think>a</think> is a tag.", ""),
        # A fence that a thought leaves open hides nothing of the answer.
        ("<think>```\ncode</think>Blue.", "Blue.", "```\ncode"),
        ("<thinker>a</thinker>", "<thinker>a</thinker>", ""),
    ],
)
def test_thoughts_are_told_from_the_answer(text: str, answer: str, thoughts: str) -> None:
    assert told_apart(text) == (answer, thoughts)


@pytest.mark.parametrize("piece", ["<think>", "</think>\n", "`<think>", "```\n", "<think>a</think>", "\n<think>"])
def test_no_answer_takes_long_to_look_through(piece: str) -> None:
    began = time.perf_counter()
    told_apart(piece * 10_000)
    assert time.perf_counter() - began < 5
