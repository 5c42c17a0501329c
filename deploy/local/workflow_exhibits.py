"""What the gallery shows of workflows: each is run, and drawn as it stands at the moments that are told of."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

from deploy.local import productions, workflow_sheet
from deploy.local.client import TERMINAL, GatewayClient, RequestFailed
from deploy.local.contact_sheet import Picture
from deploy.local.films import frames

_FRAMES = 3


@dataclass(frozen=True, slots=True)
class WorkflowExhibit:
    """`play` runs it and yields it as it stands whenever it is to be drawn, each with a title."""

    name: str
    title: str
    play: Callable[[GatewayClient], Iterator[tuple[str, dict[str, Any]]]]
    before: tuple[str, ...] = ()
    """Files in `examples/workflows/pictures` that its first step begins with."""


def drawn(exhibit: WorkflowExhibit, client: GatewayClient) -> Picture:
    """Raises RequestFailed."""
    before = [Image.open(productions.EXAMPLES / "pictures" / f"{name}.png") for name in exhibit.before]
    sheets = []
    for title, shown in exhibit.play(client):
        made, first = _made(client, shown), shown["steps"][0]["step_id"]
        sheets.append(workflow_sheet.draw(title, shown, made | {first: [*before, *made.get(first, ())]}))
    return workflow_sheet.stacked(sheets)


def until(client: GatewayClient, workflow_id: str, stop: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The workflow once `stop` says so. Raises RequestFailed where it ends before."""
    workflow = client.get_workflow(workflow_id)
    for _ in client.workflow_events(workflow_id):
        workflow = client.get_workflow(workflow_id)
        if stop(workflow):
            return workflow
        if workflow["status"] in TERMINAL:
            break
    if not stop(workflow):
        raise RequestFailed(f"the workflow is {workflow['status']}: {'; '.join(workflow['errors'])}")
    return workflow


def _whole(definition: Callable[[], dict[str, Any]], title: str = "") -> Any:
    """A play that shows it once it is completed."""

    def play(client: GatewayClient) -> Iterator[tuple[str, dict[str, Any]]]:
        made = client.create_workflow(productions.anew(definition()))
        yield title or made["name"], until(client, made["id"], lambda one: one["status"] == "COMPLETED")

    return play


def _of_file(name: str) -> Any:
    return _whole(lambda: productions.read(name), productions.read(name)["description"])


def _without_mannequin(client: GatewayClient) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("mannequin", "mannequin_mask"):
        client.upload(f"examples/{name}.png", (productions.EXAMPLES / "pictures" / f"{name}.png").read_bytes())
    yield from _of_file("ghost_mannequin")(client)


def _approved(client: GatewayClient) -> Iterator[tuple[str, dict[str, Any]]]:
    definition = productions.anew(productions.read("packshot"))
    definition["steps"][3] |= {"gate": "approval"}
    made = client.create_workflow(definition)
    yield "it waits for a decision, without a worker", until(client, made["id"], lambda one: _of(one, "WAITING"))
    client.signal(made["id"], "enlarge", {"approve": True, "decided_by": "ada"})
    yield "approved by ada", until(client, made["id"], lambda one: one["status"] == "COMPLETED")


def _resumed(client: GatewayClient) -> Iterator[tuple[str, dict[str, Any]]]:
    client.delete_picture("examples/palette.png")
    made = client.create_workflow(productions.anew(RESUMED))
    yield "one step failed: its palette was not there", until(client, made["id"], lambda one: one["status"] == "FAILED")
    client.upload("examples/palette.png", _png(Image.new("RGB", (64, 64), (214, 226, 206))))
    client.resume(made["id"])
    title = "resumed once it was: what was finished was kept"
    yield title, until(client, made["id"], lambda one: one["status"] == "COMPLETED")


def _cached(client: GatewayClient) -> Iterator[tuple[str, dict[str, Any]]]:
    definition = productions.read("packshot")
    ended: dict[str, Any] = {}
    for colour in ("#d9e4e8", "#e8dcc4"):
        definition["steps"][2]["config"]["background_color"] = colour
        made = client.create_workflow(definition)
        ended = until(client, made["id"], lambda one: one["status"] == "COMPLETED")
    yield "the packshot again, on another colour: only what is new is run", ended


def _of(workflow: dict[str, Any], status: str) -> bool:
    return any(step["status"] == status for step in workflow["steps"])


def _png(picture: Picture) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def _made(client: GatewayClient, workflow: dict[str, Any]) -> dict[str, list[Picture]]:
    units = {step["step_id"]: step["result"] for step in workflow["steps"] if not step["slots"]}
    units |= {slot["slot_id"]: slot["result"] for step in workflow["steps"] for slot in step["slots"]}
    return {name: _pictures(client, result) for name, result in units.items() if result}


def _pictures(client: GatewayClient, result: dict[str, Any]) -> list[Picture]:
    if film := result.get("result_video_path"):
        return frames(client.download(film), _FRAMES)
    paths = result.get("result_image_paths") or [result.get("result_image_path")]
    return [Image.open(io.BytesIO(client.download(path))) for path in paths if path]


DRAW = {"id": "draw", "task_type": "GENERATION", "config": {"prompt": "a red mug on a white background", "seed": 7}}
_DRAWN = {"from_step": "draw", "from_field": "result_image_path"}
FIRST = {
    "name": "drawn and enlarged",
    "origin_instance": "gallery",
    "steps": [
        DRAW,
        {
            "id": "enlarge",
            "task_type": "REFINE",
            "config": {"upscale_factor": 2},
            "depends_on": ["draw"],
            "input_mappings": [_DRAWN | {"to_field": "base_image_url"}],
        },
    ],
}
MAPPED = {
    "name": "framed",
    "origin_instance": "gallery",
    "steps": [
        DRAW,
        {
            "id": "cut_out",
            "task_type": "BACKGROUND_REMOVAL",
            "depends_on": ["draw"],
            "input_mappings": [_DRAWN | {"to_field": "input_image_paths"}],
        },
        {
            "id": "frame",
            "task_type": "IMAGE_ADJUSTER",
            "config": {"mode": "pad"},
            "depends_on": ["draw", "cut_out"],
            "input_mappings": [
                {"from_step": "cut_out", "from_field": "result_image_paths", "to_field": "input_image"}
                | {"transform": "FIRST"},
                {"from_step": "draw", "from_field": "width", "to_field": "target_width"}
                | {"transform": "RESIZE_REFERENCE", "transform_args": {"factor": 2}},
                {"from_step": "draw", "from_field": "height", "to_field": "target_height"}
                | {"transform": "RESIZE_REFERENCE", "transform_args": {"factor": 1.5}},
            ],
        },
    ],
}
RESUMED = {
    "name": "resumed",
    "origin_instance": "gallery",
    "config": {"on_failure": "finish_independent"},
    "steps": [
        DRAW,
        {
            "id": "cut_out",
            "task_type": "BACKGROUND_REMOVAL",
            "depends_on": ["draw"],
            "input_mappings": [_DRAWN | {"to_field": "input_image_paths"}],
        },
        {
            "id": "palette",
            "task_type": "BACKGROUND_FIX",
            "config": {"palette_image": "examples/palette.png"},
            "depends_on": ["draw"],
            "input_mappings": [_DRAWN | {"to_field": "base_image"}],
        },
        {
            "id": "enlarge",
            "task_type": "REFINE",
            "config": {"upscale_factor": 2},
            "depends_on": ["palette"],
            "input_mappings": [
                {"from_step": "palette", "from_field": "result_image_path", "to_field": "base_image_url"}
            ],
        },
    ],
}
WORKFLOWS = (
    WorkflowExhibit("workflow_first", "a first workflow", _whole(lambda: FIRST, "drawn, then enlarged")),
    WorkflowExhibit("workflow_mappings", "mappings", _whole(lambda: MAPPED, "three mappings into one step")),
    WorkflowExhibit("workflow_approval", "an approval", _approved),
    WorkflowExhibit("workflow_resume", "a resume", _resumed),
    WorkflowExhibit("workflow_cache", "the step cache", _cached),
    WorkflowExhibit("workflow_packshot", "packshot", _of_file("packshot")),
    WorkflowExhibit("workflow_recolour", "ten colours", _of_file("recolour")),
    WorkflowExhibit("workflow_ghost_mannequin", "ghost mannequin", _without_mannequin, ("mannequin",)),
    WorkflowExhibit("workflow_lifestyle", "lifestyle set", _of_file("lifestyle")),
    WorkflowExhibit("workflow_teaser", "video teaser", _of_file("teaser")),
)
