"""`python -m tests.pauses`: names every bare sleep in the tests, for `make check`; tests wait by `tests/waiting.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
# The helper itself, and a model that runs inside Triton, where nothing of ours is to be imported.
EXEMPT = {"waiting.py", "reliability/liar.py"}
SLEEPING = {"asyncio.sleep", "time.sleep"}


def pauses(source: str) -> Iterator[int]:
    """Lines that name a sleep, called or handed on, by its module or imported from it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in SLEEPING:
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and any(f"{node.module}.{name.name}" in SLEEPING for name in node.names):
            yield node.lineno


def found(root: Path = TESTS) -> Iterator[str]:
    for path in sorted(root.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "sleep" in source and str(path.relative_to(root)) not in EXEMPT:
            yield from (f"{path}:{line}" for line in pauses(source))


def main() -> None:
    if places := list(found()):
        raise SystemExit(
            "\n".join((*places, "Wait by `until` or `turns` of tests.waiting, or say there why time passes."))
        )


if __name__ == "__main__":
    main()
