"""Workflows under the kills: a chain whose last text a fan-out takes, and a step that joins what that made."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.waiting import time_passes

WORKFLOWS = "/api/v1/workflows/"
CHAIN, WIDTH = 8, 12
UNITS = CHAIN + WIDTH + 1
ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
_PATIENCE_SECONDS = 120.0
_PAGE = 1_000
Events = dict[str, dict[str, set[str]]]


def steps(name: str) -> list[dict[str, Any]]:
    chain = [probe(f"s{number}", f"s{number - 1}" if number else "", payload=name) for number in range(CHAIN)]
    fan = probe("fan", f"s{CHAIN - 1}")
    fan.pop("input_mappings")
    fan["for_each"] = {"to_field": "payload", "items": [f"{name}-{number}" for number in range(WIDTH)]}
    join = probe("join", "fan")
    join["input_mappings"][0] |= {"transform": "JOIN", "transform_args": {"separator": ","}}
    return [*chain, fan, join]


def probe(step_id: str, before: str, payload: str = "") -> dict[str, Any]:
    step: dict[str, Any] = {"id": step_id, "task_type": "DIAGNOSTIC", "config": {"duration_ms": 300}, "max_retries": 9}
    if before:
        step["depends_on"] = [before]
        step["input_mappings"] = [{"from_step": before, "from_field": "payload", "to_field": "payload"}]
    else:
        step["config"]["payload"] = payload
    return step


def joined(name: str) -> str:
    """What the last step answers."""
    return ",".join(f"{name}-{number}" for number in range(WIDTH))


@dataclass(frozen=True, slots=True)
class FlowLedger:
    """`made` counts workflows that are there, those whose creation nobody answered included; `doubled` are those with
    more or fewer tasks than steps and slots, and tasks that are none of any.
    """

    accepted: int
    made: int
    completed: int
    lost: list[str]
    doubled: list[str]
    wrong: list[str]
    failed: list[str]
    without_events: list[str]


@dataclass
class Flows:
    """Makes workflows one after another, and remembers which were accepted, under which name."""

    client: httpx2.AsyncClient
    origin: str = "crash-flows"
    accepted: dict[str, str] = field(default_factory=dict)

    async def run(self, seconds: float, rate: float) -> None:
        begun, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while (elapsed := time.monotonic() - begun) < seconds:
                group.create_task(self.make(f"w{number}"))
                number += 1
                await time_passes(max(0.0, number / rate - elapsed), because="the load has its pace")

    async def make(self, name: str) -> None:
        """Asked again until somebody answers; what was made without an answer is one more workflow of that name."""
        body = {"name": name, "origin_instance": self.origin, "steps": steps(name)}
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            made = await self._ask("POST", WORKFLOWS, json=body)
            if made is not None:
                self.accepted[made["id"]] = name
                return
            await time_passes(0.3, because="a client that asks again is in no hurry")

    async def close(self, events: Events) -> FlowLedger:
        """Once all that are there have ended."""
        found = await self._found()
        missing = [workflow_id for workflow_id in self.accepted if workflow_id not in found]
        known = {name: _tasks_of(one) for name, one in found.items()}
        strays = await self._tasks() - set().union(*known.values())
        return FlowLedger(
            accepted=len(self.accepted),
            made=len(found),
            completed=sum(one["status"] == "COMPLETED" for one in found.values()),
            lost=missing + [name for name, one in found.items() if one["status"] not in ENDED],
            doubled=[name for name, ids in known.items() if len(ids) != UNITS] + sorted(strays),
            wrong=[name for name, one in found.items() if one["status"] == "COMPLETED" and not _right(one)],
            failed=[f"{name}: {one['errors']}" for name, one in found.items() if one["status"] == "FAILED"],
            without_events=[name for name in found if not _told(events.get(name, {}))],
        )

    async def settle(self, patience: float) -> None:
        """Waits until all that are there have ended, or for so long."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if {one["status"] for one in await self._listed()} <= ENDED:
                return
            await time_passes(0.5, because="the ledger is read when all has ended")

    async def _listed(self) -> list[dict[str, Any]]:
        found = await self._ask("GET", f"{WORKFLOWS}?origin_instance={self.origin}&limit={_PAGE}")
        return list(found["workflows"]) if found else [{"status": "UNKNOWN", "id": ""}]

    async def _found(self) -> dict[str, dict[str, Any]]:
        listed = [one["id"] for one in await self._listed()]
        return {name: one for name in listed if (one := await self._ask("GET", WORKFLOWS + name)) is not None}

    async def _tasks(self) -> set[str]:
        """Every task that was made for any of them."""
        found: set[str] = set()
        skip = 0
        while page := await self._ask("GET", f"/api/v1/tasks/?origin_instance={self.origin}&limit={_PAGE}&skip={skip}"):
            found |= {task["id"] for task in page}
            skip += _PAGE
        return found

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        """None while nobody answers."""
        try:
            answer = await self.client.request(method, path, **more)
        except httpx2.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None


def _tasks_of(one: dict[str, Any]) -> set[str]:
    """Those it shows, of steps and slots."""
    units = [unit for step in one["steps"] for unit in (step["slots"] or [step])]
    return {unit["task_id"] for unit in units if unit["task_id"]}


def _right(one: dict[str, Any]) -> bool:
    """Each step and slot has its one result."""
    name, by_id = one["name"], {step["step_id"]: step for step in one["steps"]}
    chain = all(by_id[f"s{number}"]["result"] == {"payload": name} for number in range(CHAIN))
    slots = [slot["result"] for slot in by_id["fan"]["slots"]]
    items = [{"payload": f"{name}-{number}"} for number in range(WIDTH)]
    return chain and slots == items and one["final_step_result"] == {"payload": joined(name)}


def _told(events: dict[str, set[str]]) -> bool:
    """Begun and ended once, each step and slot ended once and the fan as a whole too."""
    counted = {verb: len(events.get(verb, ())) for verb in ("created", "completed", "step_completed")}
    return counted == {"created": 1, "completed": 1, "step_completed": UNITS + 1}
