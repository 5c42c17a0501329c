"""`make demo`: a small production as one workflow, step by step; then a photograph, one task after the other."""

from __future__ import annotations

import argparse
import base64
import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from skimage import data

from deploy.local import contact_sheet, productions, runfile, terminal
from deploy.local.client import GatewayClient, RequestFailed, ask_model
from deploy.local.failures import LocalError
from deploy.local.lifecycle import stack_at_hand
from deploy.local.paths import ROOT, StackFolder, shown
from deploy.local.process import last_lines

OUT = ROOT / "out" / "demo"
WORKFLOW = "packshot"
CREDIT = "Rachel Michetti, CC0"
"""Of the photograph, which scikit-image ships."""
PHOTOGRAPH_SIZE, GROUND = (240, 160), "#d9e4e8"
"""Small, as it is enlarged by this machine's processors within seconds."""


@dataclass
class DemoReport:
    """What the report says, filled in as the demonstration goes."""

    prompt: str
    seconds: dict[str, float] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    previews: list[contact_sheet.DenoisingPreview] = field(default_factory=list)
    produced: dict[str, bytes] = field(default_factory=dict)
    """What each step of the workflow made, in their order."""
    photographs: dict[str, bytes] = field(default_factory=dict)
    """What was made of the photograph, by the name of its file; the photograph first."""
    model: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[stage] = round(time.monotonic() - begun, 2)

    def see(self, step: Mapping[str, Any]) -> None:
        """Keeps what the picture looks like while it is drawn."""
        if preview := step.get("preview"):
            picture = Image.open(io.BytesIO(base64.b64decode(preview.partition(",")[2])))
            self.previews.append(contact_sheet.DenoisingPreview(step["step"], picture))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("prompt", nargs="*", help='make demo ARGS="a blue bottle on a wooden table"')
    prompt = " ".join(parser.parse_args().prompt) or productions.read(WORKFLOW)["steps"][0]["config"]["prompt"]
    terminal.log_to()
    terminal.said_plainly(lambda: demonstrate(StackFolder(), DemoReport(prompt), Console(highlight=False)))


def demonstrate(home: StackFolder, record: DemoReport, console: Console, out: Path = OUT) -> None:
    """On the stack that runs here, else on one of its own. Raises LocalError naming the component at fault."""
    with stack_at_hand(home) as (facts, seconds):
        record.seconds["start"] = seconds
        console.print(f"the stack is ready at {facts['gateway_url']} ({record.seconds['start']:.1f} s)")
        try:
            with closing(GatewayClient(facts["gateway_url"], facts["api_key"])) as client:
                _produce(client, record, console)
                record.model = ask_model(facts["targets"]["tasks"], facts["api_key"], record.tasks[0]["id"])
                _treat_photograph(client, record, console)
        except RequestFailed as error:
            raise _blame(home, facts["components"], str(error)) from error
        save(record, out)
        made = ", ".join(f"{name}.png" for name in (*record.produced, *record.photographs, "contact_sheet"))
        console.print(f"saved in {shown(out)}: {made}, report.json")


def _produce(client: GatewayClient, record: DemoReport, console: Console) -> None:
    """The workflow in `examples/workflows`, with this prompt; each of its steps leaves a picture."""
    definition = productions.anew(productions.read(WORKFLOW))
    definition["steps"][0]["config"]["prompt"] = record.prompt
    names = [step["id"] for step in definition["steps"]]
    console.print(f"\n[bold]{definition['name']}[/]  “{record.prompt}”: {' → '.join(names)}")
    with record.timed("workflow"):
        workflow = productions.follow(
            client,
            client.create_workflow(definition),
            console,
            lambda step_id, step: record.see(step) if step_id == names[0] else None,
        )
    for step in workflow["steps"]:
        task = client.get(step["task_id"])
        record.tasks.append(task)
        record.seconds[step["step_id"]] = round(_seconds(step), 2)
        record.produced[step["step_id"]] = client.download(_path(task))


def _seconds(step: dict[str, Any]) -> float:
    begun, ended = (datetime.fromisoformat(step[name]) for name in ("started_at", "completed_at"))
    return (ended - begun).total_seconds()


def _path(task: dict[str, Any]) -> str:
    return str(task.get("result_image_path") or task["result_image_paths"][0])


def _treat_photograph(client: GatewayClient, record: DemoReport, console: Console) -> None:
    """Cuts it out, puts it on another ground and enlarges that."""
    with record.timed("photograph"):
        _treat(client, record, console)


def _treat(client: GatewayClient, record: DemoReport, console: Console) -> None:
    photograph = Image.fromarray(data.coffee()).resize(PHOTOGRAPH_SIZE, Image.Resampling.LANCZOS)
    target = io.BytesIO()
    photograph.save(target, "PNG")
    record.photographs["photograph"] = target.getvalue()
    sent = f"data:image/png;base64,{base64.b64encode(target.getvalue()).decode()}"
    removal = {"task_type": "BACKGROUND_REMOVAL", "input_image_paths": [sent]}
    _make(client, record, console, ("photograph_cutout", "of a photograph", removal))
    change = {
        "task_type": "BACKGROUND_FIX",
        "base_image": sent,
        "strategy": "FLAT_FILL",
        "background_color": GROUND,
    }
    changed = _make(client, record, console, ("photograph_ground", f"onto {GROUND}", change))
    enlarging = {"task_type": "REFINE", "base_image_url": changed, "upscale_factor": 4}
    _make(client, record, console, ("photograph_enlarged", "four times larger", enlarging))


def _make(client: GatewayClient, record: DemoReport, console: Console, wanted: tuple[str, str, dict[str, Any]]) -> str:
    """Name of the file, words for the title, and the request; answers with the path of what was made."""
    name, title, asked = wanted
    console.print(f"\n[bold]{asked['task_type']}[/]  {title}")
    with record.timed(name):
        task = _follow(client, client.create({"origin_instance": "demo", **asked})["id"], record, console)
    path = _path(task)
    record.photographs[name] = client.download(path)
    return path


def _follow(client: GatewayClient, task_id: str, record: DemoReport, console: Console) -> dict[str, Any]:
    """Shows the task's progress to its end. Raises RequestFailed unless it is completed."""
    columns = (TextColumn("  {task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("waiting", total=None)
        for event in client.events(task_id):
            if event.name == "progress" and event.data.get("total_steps"):
                bars.update(bar, completed=event.data["step"], total=event.data["total_steps"])
            elif event.name == "task":
                bars.update(bar, description=event.data["status"].lower())
    task = client.get(task_id)
    record.tasks.append(task)
    if task["status"] != "COMPLETED":
        reasons = "; ".join(task.get("errors") or ["no reason given"])
        raise RequestFailed(f"task {task_id} ended {task['status']}: {reasons}")
    return task


def save(record: DemoReport, out: Path) -> None:
    """Writes the pictures as they came, the contact sheet and the report."""
    out.mkdir(parents=True, exist_ok=True)
    pictures = record.produced | record.photographs
    for name, content in pictures.items():
        (out / f"{name}.png").write_bytes(content)
    opened = {name: Image.open(io.BytesIO(content)) for name, content in pictures.items()}
    times = " · ".join(f"{stage} {record.seconds[stage]:.1f} s" for stage in ("start", "workflow", "photograph"))
    footer = f"{times} · model {record.model['name']} ({record.model['licence']})"
    steps = {name: opened[name] for name in record.produced}
    treated = [opened[name] for name in record.photographs]
    contact_sheet.draw(record.prompt, record.previews, steps, footer, treated, CREDIT).save(out / "contact_sheet.png")
    kept = ("id", "task_type", "status", "created_at", "started_at", "completed_at", "retry_count")
    report = {
        "prompt": record.prompt,
        "model": record.model,
        "tasks": [{name: task.get(name) for name in kept} for task in record.tasks],
        "seconds": record.seconds,
        "steps_shown": len(record.previews),
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")


def _blame(home: StackFolder, before: dict[str, Any], why: str) -> LocalError:
    """The component that fell meanwhile, else the one that answered wrongly, with the end of its log."""
    components = runfile.read(home)["components"]
    fallen = [
        name
        for name, part in components.items()
        if part["state"] != "ready" or part["restarts"] > before[name]["restarts"]
    ]
    suspect = fallen[0] if fallen else "inference" if why.startswith("task ") else "gateway"
    log = home.log_of(suspect)
    return LocalError(f"{why}\n\nMost likely at fault: {suspect}. The last lines of {log}:\n{last_lines(log)}")


if __name__ == "__main__":
    main()
