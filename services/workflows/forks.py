"""What a fork has of the workflow it is made from: files of its own, so that cleaning up the old one hurts nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from services.catalog.enums import StepStatus
from services.catalog.tasks import TYPES
from services.workflows.definition import Definition, StepDefinition
from services.workflows.domain import MADE, Row, Unit, Workflow, reused
from services.workflows.files import WorkflowFiles, folder_of_unit, inputs_of_workflow, moved, texts
from services.workflows.ports import StepName, unit_name


class TakenOver(NamedTuple):
    """`rows` are those of the fork, `results` what its finished units made, all with the fork's own files: `paths` are
    those by where they were.
    """

    rows: tuple[Row, ...]
    definition: Definition
    results: dict[StepName, Mapping[str, Any]]
    paths: Mapping[str, str]


class Forking:
    """From one workflow to one that is to be; `kept` are the places of steps that are not to run anew.

    Of the step at the place `partly` what its slots made is kept, and the others run anew.
    """

    def __init__(
        self, old: Workflow, definition: Definition, new_id: str, kept: set[int], partly: int | None = None
    ) -> None:
        self._old = old
        self._definition = definition
        self._new_id = new_id
        self._kept = kept
        self._partly = partly

    @cached_property
    def made(self) -> dict[Unit, StepName]:
        """What is to be taken over, and by which try it was made."""
        return {
            unit: StepName(self._old.id, self._name(unit), row.attempt)
            for unit, row in self._old.units()
            if (unit.place in self._kept or unit.place == self._partly) and row.state in MADE
        }

    async def take_over(
        self,
        files: WorkflowFiles,
        results: Mapping[StepName, Mapping[str, Any]],
        task_id: Callable[[str, StepName], str],
        changed: Definition,
    ) -> TakenOver:
        """`changed` is the fork's definition. A step whose files are not all there any more runs anew."""
        needed: dict[Unit, set[str]] = {}
        folders = self._inputs()
        for unit, name in self.made.items():
            folder = self._folder(unit, name, task_id)
            needed[unit] = {text for text in texts(results.get(name)) if text.startswith(folder)}
            if needed[unit]:
                folders[folder] = folder_of_unit(self._new_id, name.step_id)
        paths = await files.copy_folders(self._old.tenant, folders)
        lost = {unit for unit in needed if self.made[unit] not in results or not needed[unit] <= paths.keys()}
        kept = self._kept - {unit.place for unit in lost}
        rows = tuple(self._row(place, row, kept, lost) for place, row in enumerate(self._old.rows))
        told = {
            StepName(self._new_id, name.step_id, 0): moved(results[name], paths)
            for unit, name in self.made.items()
            if unit.place in kept or (unit.place == self._partly and unit not in lost)
        }
        return TakenOver(rows, with_paths(changed, paths), told, paths)

    def _row(self, place: int, row: Row, kept: set[int], lost: set[Unit]) -> Row:
        if place in kept:
            return reused(row)
        if place != self._partly:
            return Row()
        good = (slot.state in MADE and Unit(place, number) not in lost for number, slot in enumerate(row.slots))
        return Row(slots=tuple(reused(slot) if made else Row() for slot, made in zip(row.slots, good, strict=True)))

    def _inputs(self) -> dict[str, str]:
        target = inputs_of_workflow(self._new_id)
        given = {self._old.inputs_folder: target} if self._old.inputs_folder is not None else {}
        return {inputs_of_workflow(self._old.id): target, **given}

    def _folder(self, unit: Unit, name: StepName, task_id: Callable[[str, StepName], str]) -> str:
        if not name.attempt or self._old.row(unit).state is StepStatus.CACHED:
            return folder_of_unit(self._old.id, name.step_id)
        kind = TYPES[self._definition.steps[unit.place].task_type]
        return f"{kind.folder}/{task_id(self._old.tenant, name)}/"

    def _name(self, unit: Unit) -> str:
        return unit_name(self._definition.steps[unit.place].id, unit.slot)


def with_paths(definition: Definition, paths: Mapping[str, str]) -> Definition:
    """The same of files that are elsewhere now."""
    steps = tuple(_with_paths(step, paths) for step in definition.steps)
    return Definition(steps, moved(definition.config, paths))


def _with_paths(step: StepDefinition, paths: Mapping[str, str]) -> StepDefinition:
    each = step.for_each
    if each is not None and each.items is not None:
        each = replace(each, items=moved(each.items, paths))
    return replace(step, given=moved(step.given, paths), for_each=each)
