"""What a result has from the pictures it was made of: rights, density, and how each of them was made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from services.imaging.decoder import Density
from services.imaging.recipes import MADE_FROM
from services.imaging.rights import Rights
from services.imaging.statements import merged
from services.imaging.strictness import strictest
from services.inference.originals import TaskPicture

# How many of them there was no room for.
LEFT_OUT = "made_from_left_out"
_MOST, _LARGEST, _DEEPEST = 32, 24_000, 8


@dataclass(frozen=True, slots=True)
class Lineage:
    """`parents` are the pictures that show in a result, by the parameters that named them; the first one leads."""

    parents: tuple[tuple[str, Rights], ...] = ()
    density: Density | None = None

    @classmethod
    def of(cls, pictures: Mapping[str, TaskPicture]) -> Lineage:
        """Density is the leading picture's: dots per inch stay, whatever becomes of the number of dots."""
        first = next(iter(pictures.values()), None)
        parents = tuple((name, picture.rights) for name, picture in pictures.items())
        return cls(parents, None if first is None else first.density)

    @property
    def sources(self) -> tuple[str | None, ...]:
        """The digital source type of each parent."""
        return tuple(rights.digital_source for _, rights in self.parents)

    @property
    def rights(self) -> Rights:
        """All creators and owners; of everything else the strictest word, the first parent's where none is stricter."""
        every = [rights for _, rights in self.parents]
        creators = dict.fromkeys(chain.from_iterable(rights.creators for rights in every))
        owners = dict.fromkeys(chain.from_iterable(rights.owners for rights in every))
        single: dict[str, Any] = {name: strictest(getattr(rights, name) for rights in every) for name in _SINGLE}
        statements = merged(rights.statements for rights in every)
        return replace(Rights(**single), creators=tuple(creators), owners=tuple(owners), statements=statements)

    @property
    def unheard(self) -> tuple[str, ...]:
        """Parents that say of rights what there is no room for beside another one's word."""
        whole = self.rights
        return tuple(
            name
            for name, rights in self.parents
            if any(getattr(rights, field) not in (None, getattr(whole, field)) for field in _SINGLE)
            or any(value not in whole.statements[key]["values"] for key, value in _values(rights))
        )

    def told(self) -> dict[str, Any]:
        """For a recipe. Of a long line the nearest are told, which a stranger's recipe cannot crowd out."""
        entries = sorted(self._entries(), key=lambda entry: entry["generation"])
        kept, size = [], 0
        for entry in entries[:_MOST]:
            size += len(json.dumps(entry))
            if size > _LARGEST:
                break
            kept.append(entry)
        left_out = len(entries) - len(kept)
        return ({MADE_FROM: kept} if kept else {}) | ({LEFT_OUT: left_out} if left_out else {})

    def _entries(self) -> Iterator[dict[str, Any]]:
        for name, rights in self.parents:
            recipe = {key: value for key, value in (rights.recipe or {}).items() if key not in (MADE_FROM, LEFT_OUT)}
            if recipe or rights.digital_source:
                yield _entry(1, name, rights.digital_source, recipe)
            for earlier in _list_of((rights.recipe or {}).get(MADE_FROM)):
                yield _one_further(earlier)


NO_LINEAGE = Lineage()
_SINGLE = ("credit", "notice", "usage_terms", "web_statement", "marked", "data_mining")


def _values(rights: Rights) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, told in rights.statements.items() for value in told["values"])


def _entry(generation: int, picture: str, source: str | None, recipe: dict[str, Any]) -> dict[str, Any]:
    """1 is a picture that the task was given, 2 one that this was made from."""
    told: dict[str, Any] = {"generation": generation, "picture": picture}
    if source:
        told["digital_source_type"] = source
    if recipe:
        told["recipe"] = recipe if _is_shallow(recipe, _DEEPEST) else {"left_out": "it nests too deeply"}
    return told


def _one_further(entry: dict[str, Any]) -> dict[str, Any]:
    """As a parent's recipe tells it, which may be a stranger's: of each part only what has its form."""
    generation, source, recipe = (entry.get(name) for name in ("generation", "digital_source_type", "recipe"))
    return _entry(
        generation + 1 if isinstance(generation, int) and 0 < generation < _MOST else 2,
        str(entry.get("picture", "")),
        source if isinstance(source, str) else None,
        recipe if isinstance(recipe, dict) else {},
    )


def _list_of(value: object) -> list[dict[str, Any]]:
    """A stranger's recipe may hold anything under that name."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _is_shallow(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in inner)
