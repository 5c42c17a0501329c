"""Every case from the field has a test that carries its id, and every id in a test is a case."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FIELD = TESTS / "corpora" / "field"
CASES = {path.stem: tomllib.loads(path.read_text()) for path in sorted(FIELD.glob("*.toml"))}


def _marked() -> Iterator[str]:
    """The ids in every `pytest.mark.field(…)` below tests/."""
    for path in TESTS.rglob("*.py"):
        text = path.read_text()
        if "mark.field" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.field":
                yield from (str(item.value) for item in node.args if isinstance(item, ast.Constant))


def test_every_case_is_shown_by_a_test() -> None:
    waiting = {name for name, case in CASES.items() if "shown_by" in case}
    assert set(CASES) - set(_marked()) == waiting


def test_every_mark_names_a_case() -> None:
    assert set(_marked()) <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_case_says_what_is_right_and_where_it_comes_from(name: str) -> None:
    case = CASES[name]
    assert all(case[key] for key in ("input", "seen", "right"))
    assert all((FIELD / file).is_file() for file in case["files"])
