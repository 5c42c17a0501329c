"""Which of the imported modules rest on a file, directly or by way of others."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

_OURS = ("services", "gateway", "deploy", "tests")


def imports() -> dict[str, frozenset[str]]:
    """What each of our modules asks for: read once."""
    return {name: _imports_of(name) for name in sys.modules if name.split(".")[0] in _OURS}


def forget_what_rests_on(file: str) -> None:
    """So that the next import reads them anew, with whatever is in the file by then."""
    for name in resting_on(file.removesuffix(".py").replace("/", "."), imports()) & sys.modules.keys():
        package, _, own = name.rpartition(".")
        del sys.modules[name]
        if package in sys.modules and hasattr(sys.modules[package], own):
            delattr(sys.modules[package], own)


def resting_on(module: str, asked_for: Mapping[str, Collection[str]]) -> set[str]:
    """The module, those that ask for it, those that ask for them, and so on."""
    stale, found = set[str](), {module}
    while found:
        stale |= found
        found = {name for name, others in asked_for.items() if not stale.isdisjoint(others)} - stale
    return stale


@functools.cache
def _imports_of(name: str) -> frozenset[str]:
    file = getattr(sys.modules[name], "__file__", None)
    return frozenset(_named_in(name, Path(file).read_text(encoding="utf-8")) if file else ())


def _named_in(name: str, source: str) -> Iterator[str]:
    yield name.rpartition(".")[0]
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = node.module or ""
            yield package
            yield from (f"{package}.{alias.name}" for alias in node.names)
    if hasattr(sys.modules[name], "__path__") and not all(isinstance(node, ast.Expr) for node in tree.body):
        # A package with code may look for what lies in it.
        yield from (other for other in sys.modules if other.startswith(f"{name}."))
