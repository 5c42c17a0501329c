"""`make gallery`: one task of each type that runs here, before and after side by side, and workflows step by step."""

from __future__ import annotations

import argparse
import base64
import io
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from deploy.local import terminal
from deploy.local.client import GatewayClient, RequestFailed
from deploy.local.contact_sheet import FAINT, INK, PAPER, fitted, font, over_squares, scaled
from deploy.local.exhibits import CREDITS, EXHIBITS, PREVIOUS, Exhibit, Picture
from deploy.local.failures import LocalError
from deploy.local.films import frames
from deploy.local.lifecycle import stack_at_hand
from deploy.local.paths import ROOT, StackFolder, shown
from deploy.local.workflow_exhibits import WORKFLOWS, drawn

OUT = ROOT / "docs" / "gallery"
_WIDTH, _MARGIN, _GAP, _HEIGHT = 1000, 32, 16, 300
_FRAMES = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="make gallery", description=__doc__)
    parser.add_argument("names", nargs="*", help='only these: make gallery ARGS="refine editing"')
    names = parser.parse_args().names
    if unknown := set(names) - (known := {exhibit.name for exhibit in (*EXHIBITS, *WORKFLOWS)}):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    terminal.log_to()
    terminal.said_plainly(lambda: hang(StackFolder(), names))


def hang(home: StackFolder, names: Sequence[str], out: Path = OUT) -> None:
    """Raises LocalError naming the exhibit that failed."""
    wanted = [exhibit for exhibit in EXHIBITS if not names or exhibit.name in names]
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    with stack_at_hand(home) as (facts, _), closing(GatewayClient(facts["gateway_url"], facts["api_key"])) as client:
        for exhibit in wanted:
            try:
                rows.append(_row(exhibit, _hang_one(client, exhibit, out)))
            except RequestFailed as error:
                raise LocalError(f"{exhibit.name}: {error}") from error
            print(f"  {exhibit.name:20} {shown(out / exhibit.name)}.png", flush=True)
        for workflow in WORKFLOWS:
            if names and workflow.name not in names:
                continue
            try:
                drawn(workflow, client).save(out / f"{workflow.name}.png", optimize=True)
            except RequestFailed as error:
                raise LocalError(f"{workflow.name}: {error}") from error
            print(f"  {workflow.name:20} {shown(out / workflow.name)}.png", flush=True)
    if not names:
        (out / "README.md").write_text(_PAGE.format(rows="\n\n".join(rows)))


def _hang_one(client: GatewayClient, exhibit: Exhibit, out: Path) -> dict[str, Any]:
    def draw(prompt: str, seed: int) -> Picture:
        asked = {"task_type": "GENERATION", "prompt": prompt, "seed": seed}
        return _open(client.download(_run(client, asked)["result_image_path"]))

    before = {name: make(draw) for name, make in exhibit.inputs.items()}
    sent = {name: _data_url(picture) for name, picture in before.items()}
    request = exhibit.request | {
        name: [value] if name == "input_image_paths" else value for name, value in sent.items()
    }
    task = _run(client, request)
    after = _results(client, task)
    for following in exhibit.then:
        task = _run(client, _going_on(following, task))
        after += _results(client, task)
    _sheet(exhibit, list(before.values()), after).save(out / f"{exhibit.name}.png", optimize=True)
    return task


def _going_on(request: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    """The request, with what the task made where it says PREVIOUS."""
    made = task.get("result_image_path") or task["result_image_paths"][0]
    return {name: made if value == PREVIOUS else value for name, value in request.items()}


def _run(client: GatewayClient, request: dict[str, Any]) -> dict[str, Any]:
    """To its end. Raises RequestFailed unless it is completed."""
    task_id = client.create({"origin_instance": "gallery", **request})["id"]
    for _ in client.events(task_id):
        pass
    task = client.get(task_id)
    if task["status"] != "COMPLETED":
        raise RequestFailed(f"the task ended {task['status']}: {'; '.join(task.get('errors') or [])}")
    return task


def _results(client: GatewayClient, task: dict[str, Any]) -> list[Picture]:
    if path := task.get("result_video_path"):
        return frames(client.download(path), _FRAMES)
    paths = task.get("result_image_paths") or [task["result_image_path"]]
    return [_open(client.download(path)) for path in paths]


def _sheet(exhibit: Exhibit, before: Sequence[Picture], after: Sequence[Picture]) -> Picture:
    """Before and after, left to right, an arrow between them."""
    pictures = [*before, *after]
    arrow = 28 if before else 0
    room = _WIDTH - 2 * _MARGIN - arrow - _GAP * (len(pictures) - 1)
    height = min(_HEIGHT, int(room / sum(picture.width / picture.height for picture in pictures)))
    sheet = Image.new("RGB", (_WIDTH, 84 + height + 24), PAPER)
    write = ImageDraw.Draw(sheet)
    types = ", then ".join(request["task_type"] for request in exhibit.requests)
    credit = f" · photograph: {CREDITS[exhibit.photograph]}" if exhibit.photograph else ""
    write.text((_MARGIN, 16), types + credit, fill=FAINT, font=font(16))
    write.text((_MARGIN, 38), fitted(exhibit.title, _WIDTH - 2 * _MARGIN, 24), fill=INK, font=font(24))
    left = _MARGIN
    for number, picture in enumerate(pictures):
        if before and number == len(before):
            middle = 84 + height // 2
            write.polygon([(left, middle - 8), (left + 12, middle), (left, middle + 8)], fill=FAINT)
            left += arrow
        made = _fit(picture, height)
        sheet.paste(made, (left, 84))
        left += made.width + _GAP
    return sheet


def _fit(picture: Picture, height: int) -> Picture:
    width = round(picture.width * height / picture.height)
    made = scaled(picture, max(width, height)).resize((width, height))
    return over_squares(made) if made.mode == "RGBA" else made.convert("RGB")


def _open(content: bytes) -> Picture:
    return Image.open(io.BytesIO(content))


def _data_url(picture: Picture) -> str:
    target = io.BytesIO()
    picture.save(target, "PNG")
    return f"data:image/png;base64,{base64.b64encode(target.getvalue()).decode()}"


def _row(exhibit: Exhibit, task: dict[str, Any]) -> str:
    first, *rest = exhibit.requests
    said_requests = [json.dumps(one, ensure_ascii=False) for one in (first | dict.fromkeys(exhibit.inputs, "…"), *rest)]
    requests = "\n\n".join(f"`{one}`" for one in said_requests)
    credit = f"Photograph: {CREDITS[exhibit.photograph]}." if exhibit.photograph else ""
    measures = [
        f"{found['name']} {found['value']:.3f}" if found.get("value") is not None else f"{found['name']} not measured"
        for found in task.get("measures") or []
    ]
    notes = [exhibit.note, credit, "; ".join(dict.fromkeys(measures))]
    said = "\n\n".join(note for note in notes if note)
    return f"![{exhibit.title}]({exhibit.name}.png)\n\n{requests}" + (f"\n\n{said}" if said else "")


_PAGE = """# Gallery

Before and after, one task of each type that runs on this machine without a key; `make gallery` makes this page again.
Photographs are those that scikit-image ships. The diffusion model is the small starter model, so what it draws are the
ten products it knows; a larger one goes in by `MODEL_PATH`. `LLM_INTERACTION` and `EXPERIMENTAL_FAL` have no model
here: they need a provider. Whole [workflows](../workflows.md) are shown where they are told of.

{rows}
"""


if __name__ == "__main__":
    main()
