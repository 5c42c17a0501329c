"""A workflow from a file: started, followed in the terminal with a bar for each of its steps, and what they made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from deploy.local.client import GatewayClient, RequestFailed, StreamedEvent
from deploy.local.paths import ROOT

EXAMPLES = ROOT / "examples" / "workflows"
_WATCHERS = 8
# A step of a run as it is told: of which step of the workflow, and what the gateway says of it.
OnProgress = Callable[[str, Mapping[str, Any]], None]
_SAID = {
    "RUNNING": "runs",
    "COMPLETED": "done",
    "CACHED": "cached",
    "FAILED": "failed",
    "SKIPPED": "skipped",
    "WAITING": "waits",
}
_STATES = {"STARTED": "RUNNING"}


def read(name: str) -> dict[str, Any]:
    """One of the workflows in `examples/workflows`, as it is sent."""
    found: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return found


def anew(definition: dict[str, Any]) -> dict[str, Any]:
    """The same, with every step run, though identical ones ran before."""
    return definition | {"config": definition.get("config", {}) | {"cache": "off"}}


def follow(
    client: GatewayClient, workflow: Mapping[str, Any], console: Console, on_progress: OnProgress = lambda *_: None
) -> dict[str, Any]:
    """Shows each step's progress to the workflow's end, and answers it as it ended.

    Raises RequestFailed unless it is completed.
    """
    columns = (TextColumn("  {task.description:12}"), BarColumn(), TextColumn("{task.fields[said]:8}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars, ThreadPoolExecutor(_WATCHERS) as watchers:
        shown = _StepBars(bars, workflow["steps"])
        for step_id, status, task_id in _news(client.workflow_events(workflow["id"])):
            if shown.tell(step_id, status) and status == "RUNNING" and task_id is not None:
                watchers.submit(_watch, client, task_id, step_id, shown, on_progress)
    ended = client.get_workflow(workflow["id"])
    if ended["status"] != "COMPLETED":
        raise RequestFailed(f"task of workflow {ended['id']} failed: {'; '.join(ended['errors']) or ended['status']}")
    return ended


def _news(events: Iterator[StreamedEvent]) -> Iterator[tuple[str, str, str | None]]:
    """What becomes of steps and slots: id, status, task. What began before anybody listened stands in the workflow."""
    for event in events:
        if event.name == "workflow":
            for step in event.data["steps"]:
                yield step["step_id"], step["status"], step["task_id"]
        elif event.name == "status" and (step_id := event.data["data"].get("step_id")):
            verb = event.data["data"]["event_type"].rpartition("_")[2]
            yield step_id, _STATES.get(verb, verb), event.data["data"].get("task_id")


class _StepBars:
    """A bar for each step; that of a step with a task for each item goes on with each task."""

    def __init__(self, bars: Progress, steps: list[dict[str, Any]]) -> None:
        self._bars = bars
        self._slots = {step["step_id"]: len((step["for_each"] or {}).get("items") or ()) for step in steps}
        self._places: dict[str, TaskID] = {
            name: bars.add_task(name, total=slots or None, start=False, said="") for name, slots in self._slots.items()
        }
        self._told: set[tuple[str, str]] = set()

    def tell(self, name: str, status: str) -> bool:
        """What a step or a slot has come to; whether that is news."""
        if (name, status) in self._told or status == "PENDING":
            return False
        self._told.add((name, status))
        step_id, in_list, _ = name.partition("[")
        place = self._places[step_id]
        if in_list:
            self._bars.advance(place, 0 if status == "RUNNING" else 1)
            return True
        self._bars.update(place, said=_SAID.get(status, ""))
        if status == "RUNNING":
            self._bars.start_task(place)
        elif status in ("COMPLETED", "CACHED", "FAILED"):
            total = self._slots[step_id] or 1
            self._bars.update(place, total=total, completed=None if status == "FAILED" else total)
            self._bars.stop_task(place)
        return True

    def move(self, name: str, step: Mapping[str, Any]) -> None:
        """As far as its task has come."""
        if not self._slots[name] and step.get("total_steps"):
            self._bars.update(self._places[name], completed=step["step"], total=step["total_steps"])


def _watch(client: GatewayClient, task_id: str, name: str, shown: _StepBars, on_progress: OnProgress) -> None:
    """The progress of one task; whether and how it ended is the workflow's to say."""
    with suppress(RequestFailed):
        for event in client.events(task_id):
            if event.name == "progress":
                shown.move(name, event.data)
                on_progress(name, event.data)
