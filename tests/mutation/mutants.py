"""The faults: what of a module's source can be changed, and into what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.Pow: "*",
}
# What is only told to people: nobody promises the words of a log.
_TOLD = ("log.", "logger.", "_log.")
Change = tuple[str, ast.expr | ast.stmt, str]


@dataclass(frozen=True, slots=True)
class Mutant:
    """`before` becomes `after`, in the function `place` of a file; its line may move, its key does not."""

    file: str
    place: str
    line: int
    before: str
    after: str
    last_line: int
    occurrence: int
    start: int
    end: int

    @property
    def key(self) -> str:
        number = f" #{self.occurrence}" if self.occurrence else ""
        return f"{self.file}::{self.place}: {self.before} -> {self.after}{number}"

    @property
    def lines(self) -> range:
        return range(self.line, self.last_line + 1)

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.end :]


def mutants_of(file: str, source: str) -> list[Mutant]:
    """In the order of the file, each with a key of its own."""
    tree = ast.parse(source)
    offsets = [0]
    for line in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line.encode()))
    content, seen, found = source.encode(), dict[tuple[str, str, str], int](), list[Mutant]()
    for place, node, after in sorted(_changes(tree, ()), key=lambda change: (change[1].lineno, change[1].col_offset)):
        last = node.end_lineno or node.lineno
        start = offsets[node.lineno - 1] + node.col_offset
        end = offsets[last - 1] + (node.end_col_offset or 0)
        before = content[start:end].decode()
        name = (place, " ".join(before.split()), " ".join(after.split()))
        occurrence = seen[name] = seen.get(name, -1) + 1
        found.append(Mutant(file, place, node.lineno, name[1], after, last, occurrence, start, end))
    return found


def _changes(node: ast.AST, place: tuple[str, ...]) -> Iterator[Change]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        place = (*place, node.name)
    if isinstance(node, (ast.stmt, ast.expr)):
        yield from ((".".join(place), node, after) for after in _variants(node))
    for child in _children(node):
        yield from _changes(child, place)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Without types, docstrings, decorators, what is logged, and a zip's word that both have the same length."""
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return
    if isinstance(node, ast.AnnAssign):
        yield from (part for part in (node.value,) if part is not None)
        return
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield from (*node.args.defaults, *(part for part in node.args.kw_defaults if part is not None), *node.body)
        return
    if isinstance(node, ast.ClassDef):
        yield from node.body
        return
    if isinstance(node, ast.Expr) and (isinstance(node.value, ast.Constant) or ast.unparse(node).startswith(_TOLD)):
        return
    yield from ast.iter_child_nodes(node)


def _variants(node: ast.expr | ast.stmt) -> Iterator[str]:
    match node:
        case ast.Compare(ops=[op], left=left, comparators=[right]):
            yield f"{ast.unparse(left)} {_COMPARISONS[type(op)]} {ast.unparse(right)}"
        case ast.BoolOp(op=op, values=values):
            word = " or " if isinstance(op, ast.And) else " and "
            yield "(" + word.join(f"({ast.unparse(value)})" for value in values) + ")"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            yield f"(({ast.unparse(left)}) {_ARITHMETIC[type(op)]} ({ast.unparse(right)}))"
        case ast.Constant(value=bool() as value):
            yield str(not value)
        case ast.Constant(value=int() | float() as value):
            yield str(value + 1)
        case ast.IfExp(test=test, body=body, orelse=other):
            yield f"(({ast.unparse(other)}) if ({ast.unparse(test)}) else ({ast.unparse(body)}))"
        case ast.Return(value=value) if value is not None and not _is_nothing(value):
            yield "return None"
        case ast.Expr(value=ast.Call() | ast.Await()) if not ast.unparse(node).startswith(_TOLD):
            yield "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.AugAssign() | ast.Delete():
            yield "pass"
        case ast.Raise():
            yield "pass"
        case ast.Continue() | ast.Break():
            yield "pass"


def _is_nothing(node: ast.expr) -> bool:
    """None, or what passes for it wherever it is only asked whether it is there."""
    return isinstance(node, ast.Constant) and not node.value
