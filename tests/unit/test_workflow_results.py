"""Results of workflows: where they lie, and what of them an answer shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.catalog.enums import JoinPolicy, StepStatus, WorkflowStatus
from services.workflows.answers import ANSWER_BYTES, AnswerRoom, ShownResults, shown_results
from services.workflows.definition import Definition, FanOut, InputMapping, OnFailure, StepDefinition
from services.workflows.domain import Decision, Entry, Happening, Row, Workflow, WorkflowVerb
from services.workflows.events import WorkflowEvents
from services.workflows.files import WorkflowFiles, folder_of
from services.workflows.messages import WorkflowView
from services.workflows.ports import StepName, StoredDefinition
from services.workflows.repository import _ENTRY_TEXTS, CODEC, MongoResultRepository, _text_of, to_document
from services.workflows.service import Fork
from tests.fakes.mongo import Database, Life, Store
from tests.fakes.objects import Shelf
from tests.reliability.workflow_world import TENANT, heal
from tests.unit.test_workflow_crashes import World, definition

SHORT, LONG = {"payload": "x" * 8_000}, {"payload": "x" * 9_000}


class Place:
    """A store and a storage."""

    def __init__(self) -> None:
        self.documents, self.files = Store(), Shelf()
        database: Any = Database(self.documents, Life(None))
        self.results = MongoResultRepository(database, self.files)

    def stored(self, name: StepName) -> dict[str, Any]:
        return self.documents.collections["workflow_results"]["/".join(map(str, name))]


def name(step: str, attempt: int = 1) -> StepName:
    return StepName("w1", step, attempt)


async def test_a_long_result_lies_in_storage_and_its_document_says_where() -> None:
    place = Place()
    await place.results.add(TENANT, {name("short"): SHORT, name("long"): LONG, name("long", 2): SHORT})
    assert "path" not in place.stored(name("short")) and "result" not in place.stored(name("long"))
    [(tenant, path)] = place.files.kept
    assert (tenant, path) == (TENANT, place.stored(name("long"))["path"]) and path.startswith(folder_of("w1"))
    assert orjson.loads(place.files.kept[tenant, path]) == LONG
    found = await place.results.get([name("short"), name("long"), name("long", 2), name("never")])
    assert found == {name("short"): SHORT, name("long"): LONG, name("long", 2): SHORT}
    await place.results.add(TENANT, {name("long"): LONG})
    assert len(place.files.kept) == 1


async def test_steps_that_differ_in_case_only_have_files_of_their_own() -> None:
    place = Place()
    both = {name("a"): LONG, name("A"): {"payload": "y" * 9_000}}
    await place.results.add(TENANT, both)
    assert len({path.lower() for _, path in place.files.kept}) == 2
    assert await place.results.get([*both]) == both


async def test_a_long_result_goes_with_the_clean_up_and_nobody_stumbles_over_it() -> None:
    place = Place()
    await place.results.add(TENANT, {name("long"): LONG, name("short"): SHORT})
    await WorkflowFiles(place.files).remove(workflow(Row(StepStatus.COMPLETED, 1)))
    assert await place.results.get([name("long"), name("short")]) == {name("short"): SHORT}


async def test_a_workflow_goes_on_with_long_results_and_a_fork_has_them_in_its_own_folder() -> None:
    world = World(definition(2, {1: [0]}, OnFailure.STOP))
    await world.create()
    await world.process()[0].advance(world.id)
    [first] = world.tasks.alive
    world.tasks.end(first, result=LONG)
    await heal(world)
    assert (await world.head()).state is WorkflowStatus.COMPLETED
    [second] = [task for unit, task in world.tasks.wanted.items() if unit.step_id == "s1"]
    assert second.task.payload == LONG["payload"]  # type: ignore[attr-defined]  # of DIAGNOSTIC
    fork = (await world.process()[1].fork(TENANT, world.id, Fork("s1", lambda definition, _: definition))).workflow
    folders = {path.split("/")[1] for _, path in world.objects.kept}
    assert folders == {world.id, fork.id}
    await WorkflowFiles(world.objects).remove(await world.head())
    shown = await world.process()[1].results(fork, AnswerRoom())
    assert shown.made == {"s0": LONG}


def workflow(*rows: Row) -> Workflow:
    return Workflow("w1", TENANT, "w", 1, 1, rows, "test", state=WorkflowStatus.COMPLETED)


def steps(count: int, *, chain: bool = True) -> Definition:
    made = [
        StepDefinition(
            f"s{n}", "DIAGNOSTIC", {}, (f"s{n - 1}",) if n and chain else (),
            (InputMapping(f"s{n - 1}", "payload", "payload"),) if n and chain else (),
        )
        for n in range(count)
    ]  # fmt: skip
    return Definition(tuple(made))


async def test_an_answer_shows_the_final_result_first_and_says_what_had_no_room() -> None:
    place, head = Place(), workflow(*(Row(StepStatus.COMPLETED, 1) for _ in range(600)))
    large = {"payload": "x" * 60_000}
    await place.results.add(TENANT, {name(f"s{n}"): large for n in range(600)})
    shown = await shown_results(head, steps(600), place.results, AnswerRoom())
    assert shown.made["s599"] == large and shown.made["s0"] == large
    assert sum(len(orjson.dumps(one)) for one in shown.made.values()) <= ANSWER_BYTES
    assert shown.omitted == {f"s{n}" for n in range(600)} - shown.made.keys() and shown.omitted
    assert set(shown.paths) == {f"s{n}" for n in range(600)}
    message = WorkflowView(lambda tenant, one: f"{tenant}/{one}").whole(
        head, StoredDefinition(steps(600), suppress_subtask_events=True), shown, {}
    )
    assert message.ByteSize() < 16 << 20
    told = {step.step_id: step for step in message.steps}
    assert orjson.loads(message.final_step_result_json) == large
    assert told["s599"].HasField("result_json") and not told["s599"].result_omitted
    assert told["s598"].result_omitted and not told["s598"].HasField("result_json")
    assert told["s598"].result_path == place.stored(name("s598"))["path"]


@pytest.mark.parametrize(
    ("reason", "made"),
    [
        ("STEP_REJECTED", False),
        ("STEP_INPUT_INVALID", False),
        ("FAN_OUT_TOO_WIDE", False),
        ("QUEUE_UNKNOWN", False),
        ("STEP_TASK_CANCELLED", True),
        ("PROMPT_REFUSED", True),
    ],
)
def test_a_try_that_failed_before_it_had_a_task_names_none(reason: str, made: bool) -> None:
    head = workflow(Row(StepStatus.FAILED, 1, reason=reason))
    nothing = ShownResults({}, {}, frozenset())
    stored = StoredDefinition(steps(1), suppress_subtask_events=True)
    step = WorkflowView(lambda tenant, one: "its task").whole(head, stored, nothing, {}).steps[0]
    assert step.HasField("task_id") == made
    said = Happening(WorkflowVerb.STEP_FAILED, "s0", "DIAGNOSTIC", 1, reason, "no")
    entry = Entry(2, 1, WorkflowStatus.FAILED, 0, (said,))
    [event] = WorkflowEvents(lambda tenant, one: "its task").outgoing(head, entry)
    assert orjson.loads(event.payload)["data"]["task_id"] == ("its task" if made else head.id)


@pytest.mark.parametrize("room", [0, 100, 30_000, 60_000, 1 << 20])
async def test_what_slots_made_together_is_shown_only_with_all_of_it(room: int) -> None:
    each = StepDefinition("fan", "DIAGNOSTIC", for_each=FanOut("payload", items=("a",) * 5, join=JoinPolicy.ALL))
    slots = tuple(Row(StepStatus.COMPLETED, 1) for _ in range(5))
    place, head = Place(), workflow(Row(StepStatus.COMPLETED, 1, slots=slots))
    await place.results.add(TENANT, {name(f"fan[{n}]"): SHORT for n in range(5)})
    shown = await shown_results(head, Definition((each,)), place.results, AnswerRoom(room))
    size = sum(len(orjson.dumps(one)) for one in shown.made.values())
    assert size <= max(room, 0)
    whole = all(f"fan[{n}]" in shown.made for n in range(5))
    assert ("fan" in shown.made) == whole and ("fan" in shown.omitted) == (not whole)
    assert shown.made.keys() | shown.omitted == {"fan", *(f"fan[{n}]" for n in range(5))}


def test_a_row_with_slots_reads_as_it_was_written_and_is_not_remembered_whole() -> None:
    decided = Decision(approved=True, by="ada", at=5, comment=None)
    slots = (Row(), Row(StepStatus.FAILED, 2, 1, 9, 3, "NO", "said no"), Row(StepStatus.COMPLETED, 1, 1, 2))
    rows = (
        Row(),
        Row(StepStatus.RUNNING, 1, 7, slots=slots),
        Row(StepStatus.COMPLETED, 1, 7, 8, decision=decided),
        Row(slots=(Row(),)),
        Row(StepStatus.COMPLETED, 1, 7, 8, decision=decided, slots=slots),
    )
    document = to_document(workflow(*rows))
    assert CODEC.decode(document).rows == rows
    assert orjson.loads(document["rows"])[0] == []
    wide = tuple(Row(StepStatus.RUNNING, 1, number) for number in range(2_000))
    began = _text_of.cache_info().currsize
    for ended in range(50):
        to_document(workflow(Row(StepStatus.RUNNING, 1, slots=(Row(StepStatus.COMPLETED, 1, 0, ended), *wide[1:]))))
    assert _text_of.cache_info().currsize - began <= 2_050


def test_texts_of_outboxes_are_remembered_within_bounds() -> None:
    for version in range(400):
        said = tuple(Happening(WorkflowVerb.STEP_STARTED, f"s{number}", "DIAGNOSTIC", 1) for number in range(200))
        entry = Entry(version, 1, WorkflowStatus.RUNNING, 0, said, 12.5)
        made = replace(workflow(Row()), outbox=(entry,))
        assert CODEC.decode(to_document(made)).outbox == (entry,)
    assert _ENTRY_TEXTS.used <= 16 << 20 and len(_ENTRY_TEXTS) < 400
