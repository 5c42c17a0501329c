"""What was promised against what came of it, by the tasks themselves and by the event stream."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass

from nats.errors import TimeoutError as NatsTimeoutError

from tests.crash.load import Accepted, Load
from tests.nats_server import connected
from tests.waiting import time_passes

TERMINAL = {"COMPLETED", "FAILED", "CANCELLED"}
_ENDINGS = {"completed", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Ledger:
    accepted: int
    terminal: int
    completed: int
    lost: list[str]
    doubled: list[str]
    without_events: list[str]
    failed: list[str]


async def settle(load: Load, *, patience: float) -> dict[str, str]:
    """The status of every accepted task, once all are terminal or `patience` seconds have passed."""
    states: dict[str, str] = {}
    end = time.monotonic() + patience
    while time.monotonic() < end:
        for item in load.accepted:
            if states.get(item.task_id) not in TERMINAL and (shown := await load.show(item.task_id)):
                states[item.task_id] = shown["status"]
        if all(states.get(item.task_id) in TERMINAL for item in load.accepted):
            break
        await time_passes(0.5, because="nobody tells the ledger what a dead gateway's clients missed")
    return states


async def read_events(nats_url: str, credentials: str) -> dict[str, dict[str, set[str]]]:
    """Of each task: verb to the ids of the events that said so."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    client = await connected(nats_url, credentials)
    try:
        stream = await client.jetstream().subscribe("evt.v1.>", ordered_consumer=True)
        while True:
            try:
                event = json.loads((await stream.next_msg(timeout=3)).data)
            except NatsTimeoutError:
                return found
            found[event["subject"]][event["type"].split(".")[2]].add(event["id"])
    finally:
        await client.close()


def close(accepted: list[Accepted], states: dict[str, str], events: dict[str, dict[str, set[str]]]) -> Ledger:
    """Lost: promised and not terminal. Doubled: ended more than once, or one key with two tasks."""
    ids = [item.task_id for item in accepted]
    tasks_of_key = defaultdict(set)
    for item in accepted:
        tasks_of_key[item.job.key].add(item.task_id)
    endings = {task: sum(len(events.get(task, {}).get(verb, ())) for verb in _ENDINGS) for task in ids}
    doubled = [task for task in ids if endings[task] > 1]
    doubled += [key for key, tasks in tasks_of_key.items() if len(tasks) > 1]
    return Ledger(
        accepted=len(ids),
        terminal=sum(states.get(task) in TERMINAL for task in ids),
        completed=sum(states.get(task) == "COMPLETED" for task in ids),
        lost=[task for task in ids if states.get(task) not in TERMINAL],
        doubled=doubled,
        without_events=[task for task in ids if not endings[task] or not events[task].get("created")],
        failed=[task for task in ids if states.get(task) == "FAILED"],
    )
