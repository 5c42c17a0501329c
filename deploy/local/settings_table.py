"""`make settings` writes docs/settings.md: every setting of every process, from the classes that read it."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from itertools import groupby
from types import ModuleType
from typing import Any, get_args

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from deploy.local.hub.client import PUBLIC_HUB
from deploy.local.paths import ROOT
from deploy.local.settings import Ports, ProcessLayout, setting_of
from services.common.settings import ServiceSettings

PAGE = ROOT / "docs" / "settings.md"
_HEAD = """# Settings

Every process reads its settings from environment variables, once, when it starts; one that is wrong ends it with a
message that names the variable. Times are seconds and sizes bytes where nothing else is said. `make up` sets the
addresses of its own parts and hands everything else on. What `make model` chose lies in `.local/settings.env`; the
environment goes first.

This page is written by `make settings` from the classes named in it; `make check` fails where it is not up to date.
"""
_CLASS = re.compile(r"^class \w+\([^)]*Settings", re.MULTILINE)
_MADE = {"worker_id": "host, process and chance", "storage_url": "`.local/data/objects`"}
# Of the models': derived from another one.
_NO_VARIABLE = frozenset({"artefacts"})
_RUNTIME = ROOT / "deploy" / "triton" / "runtime"


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table."""

    variable: str
    default: str
    description: str


def render() -> str:
    parts = [_HEAD, *(_section(title, place, rows) for title, place, rows in sections())]
    return "\n".join(parts)


def sections() -> Iterator[tuple[str, str, list[Setting]]]:
    """What each says, where it is read, and its settings."""
    yield "Every service", _place(ServiceSettings), list(_of_class(ServiceSettings))
    told: dict[Setting, None] = {}
    for title, kinds in groupby(settings_classes(), key=_title):
        together = list(kinds)
        rows = {row: None for kind in together for name in kind.model_fields if (row := _own(kind, name)) is not None}
        # What several classes read alike stands once.
        new = [row for row in rows if row not in told]
        told |= rows
        if new:
            yield title, ", ".join(map(_place, together)), new
    for title, folder, variable in _MODELS:
        yield title, f"deploy.triton.runtime.{folder}", list(_of_a_model(folder, variable))
    yield "The local stack", "deploy.local", list(_of_the_stack())


def settings_classes() -> list[type[BaseSettings]]:
    """Those that a process reads: no class that another inherits."""
    found = {kind for module in _modules() for kind in vars(module).values() if _is_settings(kind)}
    inherited = {base for kind in found for base in kind.__mro__[1:]}
    return sorted(
        found - inherited, key=lambda kind: (not issubclass(kind, ServiceSettings), _title(kind), _place(kind))
    )


def _modules() -> Iterator[ModuleType]:
    for package in ("gateway", "services"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if _CLASS.search(path.read_text()):
                yield import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def _is_settings(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseSettings) and kind is not BaseSettings


def _title(kind: type[BaseSettings]) -> str:
    prefix = str(kind.model_config.get("env_prefix", "")).rstrip("_")
    package = kind.__module__.removesuffix(".settings").removesuffix(".app").split(".")
    name = prefix or (package[0] if package[0] == "gateway" else package[-1])
    return name if prefix else name.replace("_", " ").capitalize()


def _place(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _of_class(kind: type[BaseSettings]) -> Iterator[Setting]:
    return (_setting(kind, name) for name in kind.model_fields)


def _own(kind: type[BaseSettings], name: str) -> Setting | None:
    """None for what all services share, and for settings that are a class of their own."""
    shared = issubclass(kind, ServiceSettings) and name in ServiceSettings.model_fields
    nested = _is_settings(kind.model_fields[name].annotation)
    return None if shared or nested else _setting(kind, name)


def _setting(kind: type[BaseSettings], name: str) -> Setting:
    info = kind.model_fields[name]
    return Setting(_variable(kind, name, info), _default(name, info), _told(kind).get(name, ""))


def _variable(kind: type[BaseSettings], name: str, info: FieldInfo) -> str:
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        return " or ".join(f"`{choice}`" for choice in alias.choices)
    return f"`{alias or str(kind.model_config.get('env_prefix', '')) + name.upper()}`"


def _default(name: str, info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if name in _MADE:
        return _MADE[name]
    secret = SecretStr in (info.annotation, *get_args(info.annotation))
    return "unset" if secret else _shown(info.get_default(call_default_factory=True))


def _shown(value: Any) -> str:
    if value in (None, "", (), frozenset(), {}):
        return "unset"
    if isinstance(value, (frozenset, tuple)):
        items = sorted(value) if isinstance(value, frozenset) else value
        return f"`{','.join(_plain(item) for item in items)}`"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)


@cache
def _told(kind: type) -> dict[str, str]:
    """The docstrings below its attributes, those it inherits included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.split(".")[0] in ("gateway", "services"):
            [declared] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            assert isinstance(declared, ast.ClassDef)
            found |= _docstrings(declared)
    return found


def _docstrings(declared: ast.ClassDef) -> dict[str, str]:
    found = {}
    for field, below in zip(declared.body, declared.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return found


def _matte(name: str) -> str:
    return f"MATTE_MODEL_{name.upper()}" if name == "licence" else f"MATTE_{name.upper()}"


def _diffusion(name: str) -> str:
    return "MODEL_PATH" if name == "model_path" else f"DIFFUSION_{name.upper()}"


_MODELS: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("The diffusion model, read by Triton", "diffusion", _diffusion),
    ("The matte model, read by Triton", "matting", _matte),
    ("The upscaling model, read by Triton", "upscaling", lambda name: f"UPSCALE_{name.upper()}"),
    ("The detection model, read by Triton", "detecting", lambda name: f"DETECTION_{name.upper()}"),
)


def _of_a_model(folder: str, variable: Callable[[str], str]) -> Iterator[Setting]:
    """From the text of its settings: models have an environment of their own."""
    tree = ast.parse((_RUNTIME / folder / "settings.py").read_text())
    declared = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    told = _docstrings(declared)
    for name, value in _fields(declared):
        if name not in _NO_VARIABLE:
            yield Setting(f"`{variable(name)}`", _written(value), told.get(name, ""))


def _fields(declared: ast.ClassDef) -> Iterator[tuple[str, ast.expr | None]]:
    for node in declared.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.value


def _written(value: ast.expr | None) -> str:
    return _shown(ast.literal_eval(value)) if isinstance(value, ast.Constant) else "ours"


def _of_the_stack() -> Iterator[Setting]:
    yield Setting(
        "`ATELIER_LAYOUT`", f"`{ProcessLayout.APART}`", "Atelier's own services `apart`, or `together` in one process."
    )
    yield Setting(
        "`NATS_SYNC_INTERVAL`", "`1s`", "How often NATS syncs its disk; `always` before each acknowledgement."
    )
    yield Setting("`HF_ENDPOINT`", f"`{PUBLIC_HUB}`", "The hub that `make model` fetches from.")
    yield Setting("`HF_TOKEN`", "unset", "Key of an account there, for models that ask for one.")
    for field in fields(Ports):
        told = f"Port of the local stack's {field.name.replace('_', ' ')}."
        yield Setting(f"`{setting_of(field.name)}`", f"`{field.default}`", told)


def _section(title: str, place: str, rows: list[Setting]) -> str:
    lines = [f"| {row.variable} | {row.default} | {row.description.replace('|', chr(92) + '|')} |" for row in rows]
    return "\n".join((f"## {title}\n\n`{place}`\n\n| variable | default | |\n|---|---|---|", *lines, ""))


def main() -> None:
    made = render()
    if "--check" not in sys.argv:
        PAGE.write_text(made)
    elif made != PAGE.read_text():
        raise SystemExit("docs/settings.md is not up to date: run `make settings`")


if __name__ == "__main__":
    main()
