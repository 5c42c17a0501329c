"""Where runs store what they make: below the folder that goes when the task goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.catalog.tasks import TYPES
from services.inference import handlers

FOLDER = Path(str(handlers.__file__)).parent


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.name)
def test_a_handler_names_no_folder_but_its_types(kind: object) -> None:
    source = (FOLDER / f"{kind.field}.py").read_text()  # type: ignore[attr-defined]  # a TaskType
    assert set(re.findall(r'outputs\.save\(\s*"([^"]+)"', source)) <= {kind.folder}  # type: ignore[attr-defined]


def test_the_folders_the_contract_names_are_these() -> None:
    named = {TYPES[name].folder for name in ("EDITING", "GENERATION", "REFINE")}
    assert named == {"editings", "generations", "refines"}
    assert len({kind.folder for kind in TYPES.values()}) == len(TYPES)
