"""Where runs store what they make: below the folder that goes when the task goes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
from compute.tasks.v1 import tasks_pb2 as pb

from services.catalog.base import TaskKind
from services.catalog.tasks import TYPES
from services.imaging.recipes import BESIDE, parse_recipe, read_recipe
from services.inference import handlers
from services.inference.context import Outputs, RunContext, WorkerResources
from services.inference.provenance import DigitalSource
from services.providers.directory import Providers
from services.worker.runs import AttemptKey, Run
from tests.fakes.objects import FakeImages, FakeObjects
from tests.fakes.provider_context import provider_context_of
from tests.fakes.vendors.films import tiny_film

FOLDER = Path(str(handlers.__file__)).parent


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.name)
async def test_what_a_run_stores_lies_in_its_types_folder(kind: TaskKind) -> None:
    bus, objects = cast("Any", None), FakeObjects()
    resources = WorkerResources(FakeImages(), objects, bus, provider_context_of(Providers({}), bus), "LOCAL")
    task = pb.Task(task_type=kind.name, tenant="acme")
    context = RunContext(Run(AttemptKey("t", 2), task, cast("Any", None), 0.0), resources)
    path = await context.outputs.save("picture.png", b"pixels")
    assert path == f"{kind.folder}/t/picture-2.png"
    assert objects.kept == {("acme", path): b"pixels"}


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.name)
def test_a_handler_names_no_folder(kind: TaskKind) -> None:
    source = (FOLDER / f"{kind.field}.py").read_text()
    named = re.findall(r"outputs\.save\w*\(\s*f?\"([^\"]+)\"", source)
    assert [name for name in named if "/" in name or "." not in name] == []


def test_the_folders_the_contract_names_are_these() -> None:
    named = {TYPES[name].folder for name in ("EDITING", "GENERATION", "REFINE")}
    assert named == {"editings", "generations", "refines"}
    assert len({kind.folder for kind in TYPES.values()}) == len(TYPES)


def outputs_of(task_type: str) -> tuple[Outputs, FakeObjects]:
    objects = FakeObjects()
    return Outputs("acme", TYPES[task_type].folder, "t", 1, objects), objects


async def test_a_made_file_lies_with_its_recipe_inside_and_goes_with_it() -> None:
    outputs, objects = outputs_of("VIDEO_GENERATION")
    path = await outputs.save_as_made("film.mp4", tiny_film(), {"seed": 3}, DigitalSource.COMPOSITE)
    [made] = objects.kept.values()
    assert made.startswith(tiny_film())
    recipe = read_recipe(made)
    assert recipe is not None and (recipe["seed"], path) == (3, "video_generations/t/film-1.mp4")
    await outputs.discard()
    assert not objects.kept


async def test_a_file_without_room_for_a_recipe_has_it_beside_itself() -> None:
    outputs, objects = outputs_of("EXPERIMENTAL_FAL")
    path = await outputs.save_as_made("file.zip", b"PK\x03\x04", {"seed": 3}, None)
    assert objects.kept["acme", path] == b"PK\x03\x04"
    beside = parse_recipe(objects.kept["acme", path + BESIDE])
    assert beside is not None and beside["seed"] == 3 and beside["beside_the_file_because"]
    await outputs.discard()
    assert not objects.kept
