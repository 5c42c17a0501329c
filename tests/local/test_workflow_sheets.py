"""How workflows are drawn for the documents, and that what is drawn was run."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from PIL import Image

from deploy.local import workflow_sheet
from deploy.local.client import GatewayClient
from deploy.local.contact_sheet import FAINT
from deploy.local.workflow_exhibits import WORKFLOWS, drawn
from services.catalog.enums import StepStatus
from tests.stack import RunningStack


def step(name: str, *before: str, status: str = "COMPLETED", slots: int = 0) -> dict[str, Any]:
    tiles = [{"slot_id": f"{name}[{number}]", "status": status} for number in range(slots)]
    return {"step_id": name, "dependencies": list(before), "status": status, "slots": tiles}


def has(sheet: Image.Image, colour: tuple[int, int, int]) -> bool:
    return colour in {found for _, found in sheet.getcolors(1 << 24) or ()}


@pytest.mark.parametrize("status", [*StepStatus])
def test_a_step_has_the_colour_of_its_status(status: str) -> None:
    sheet = workflow_sheet.draw("any", {"status": "RUNNING", "steps": [step("a", status=status)]}, {})
    assert has(sheet, workflow_sheet._COLOURS.get(status, FAINT))


def test_every_picture_is_on_the_sheet_and_what_made_none_has_a_tile() -> None:
    steps = [step("draw"), step("fan", "draw", slots=7), step("cut", "draw"), step("last", "fan", "cut")]
    made = {"draw": [Image.new("RGB", (40, 60), "red")], "fan[3]": [Image.new("RGBA", (8, 8), (0, 0, 255, 255))]}
    sheet = workflow_sheet.draw("a title " * 40, {"status": "COMPLETED", "steps": steps}, made)
    assert sheet.width == workflow_sheet.WIDTH
    assert has(sheet, (255, 0, 0)) and has(sheet, (0, 0, 255))
    bare = workflow_sheet.draw("none", {"status": "COMPLETED", "steps": steps}, {})
    assert workflow_sheet.stacked([sheet, bare]).height == sheet.height + bare.height


def test_a_step_stands_behind_all_that_it_depends_on() -> None:
    steps = [step("late", "b", "a"), step("b", "a"), step("a"), step("alone")]
    columns = workflow_sheet._columns(steps)
    assert [[one["step_id"] for one in column] for column in columns] == [["a", "alone"], ["b"], ["late"]]


def test_a_resume_is_drawn_before_and_after(stack: RunningStack) -> None:
    [exhibit] = [one for one in WORKFLOWS if one.name == "workflow_resume"]
    assert stack.api_key is not None
    with closing(GatewayClient(stack.base_url, stack.api_key)) as client:
        sheet = drawn(exhibit, client)
    assert has(sheet, workflow_sheet._COLOURS["FAILED"]) and has(sheet, workflow_sheet._COLOURS["COMPLETED"])
