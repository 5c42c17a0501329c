"""What the tasks service counts. Each replica counts its own writes, so that all together count each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from services.catalog.enums import ErrorCategory
from services.catalog.tasks import TYPES
from services.tasks.domain import Occurrence, Task, TaskState, Verb
from services.telemetry.instruments import LONG_SECONDS, Counter, Gauge, Histogram, Key, Source, plain
from services.telemetry.labels import Label
from services.telemetry.reasons import REASON

# Declared as the tasks service learns of them: from its settings, and from the workers that serve them.
QUEUE = Label("queue", room=64)
TASK_TYPE = Label("task_type", TYPES)
TENANT = Label("tenant", room=200)
STATUS = Label("status", (state.value for state in TaskState if state.terminal))
CATEGORY = Label("category", ("", *(category.value for category in ErrorCategory)))
OUTCOME = Label("outcome", ("completed", "failed", "retrying", "returned"))

ENDED = Counter("atelier_tasks_ended_total", "Tasks that ended, and why.", STATUS, CATEGORY, REASON)
RUNS_ENDED = Counter("atelier_task_runs_ended_total", "Runs that ended, and why.", OUTCOME, REASON)
REMINDED = Counter(
    "atelier_worker_reminders_total",
    "Runs of which their worker had to be reminded: the message that told it was lost.",
)
REPLAYED = Counter("atelier_tasks_replayed_total", "Failed tasks that were resumed.")
QUEUE_SECONDS = Histogram(
    "atelier_task_queue_seconds", "From creation to the first start.", QUEUE, buckets=LONG_SECONDS
)
RUN_SECONDS = Histogram(
    "atelier_task_run_seconds", "How long runs took that came to an end.", TASK_TYPE, buckets=LONG_SECONDS
)
TENANT_ENDED = Counter("atelier_tenant_tasks_ended_total", "As far as METRICS_BY_TENANT asks for it.", TENANT, STATUS)
WAITING = Gauge("atelier_queue_tasks_waiting", "Tasks that wait for a worker, as every replica knows them.", QUEUE)
RUNNING = Gauge("atelier_queue_tasks_running", "Tasks that run, as every replica knows them.", QUEUE)
SLOTS = Gauge("atelier_queue_slots", "What the workers of a queue can run at the same time.", QUEUE)
WORKERS = Gauge("atelier_queue_workers", "Workers heard of lately.", QUEUE)
MODELS_AWAY = Gauge("atelier_models_unavailable", "Models that do not answer a worker.")


class QueueFigures(Protocol):
    """What it knows of its queues."""

    def depth(self) -> dict[str, int]: ...
    def running(self) -> dict[str, int]: ...
    def slots(self) -> dict[str, list[int]]: ...
    @property
    def models_away(self) -> int: ...


# An enumeration's members are found slowly, and each write asks for some.
_EXECUTING, _COMPLETED, _CANCELLED, _REPLAYED = Verb.EXECUTING, Verb.COMPLETED, Verb.CANCELLED, Verb.REPLAYED
_ENDINGS = (_COMPLETED, Verb.FAILED, _CANCELLED)
_DONE = TaskState.COMPLETED.value
_ENDS_A_RUN = {Verb.FAILED: "failed", Verb.RETRYING: "retrying", Verb.RETURNED: "returned"}


def sources(dispatcher: QueueFigures) -> dict[Gauge, Source]:
    """What the gauges of a replica are read from."""
    return {
        WAITING: lambda: _by_queue(dispatcher.depth()),
        RUNNING: lambda: _by_queue(dispatcher.running()),
        SLOTS: lambda: _by_queue({queue: sum(workers) for queue, workers in dispatcher.slots().items()}),
        WORKERS: lambda: _by_queue({queue: len(workers) for queue, workers in dispatcher.slots().items()}),
        MODELS_AWAY: plain(lambda: dispatcher.models_away),
    }


def _by_queue(found: Mapping[str, float]) -> dict[Key, float]:
    return {(queue,): value for queue, value in found.items()}


def count_write(task: Task, *, by_tenant: bool = False) -> None:
    """What a durable write of this replica says has happened."""
    outbox = task.outbox
    if not outbox or (last := outbox[-1]).version != task.version:
        return
    if last.verb is _EXECUTING:
        if task.first_started_at is None and task.started_at is not None:
            QUEUE_SECONDS.observe((task.started_at - task.created_at) / 1e6, task.queue)
        return
    if last.verb is _COMPLETED:
        RUNS_ENDED.count("completed", "")
        ENDED.count(_DONE, "", "")
        _count_run_seconds(task, last)
    else:
        _count_rarer(task, last)
    if by_tenant and last.verb in _ENDINGS:
        TENANT.declare(task.tenant)
        TENANT_ENDED.count(task.tenant, task.state.value)


def _count_rarer(task: Task, last: Occurrence) -> None:
    """All but beginnings and good ends."""
    reason = last.reason or ""
    if (outcome := _ENDS_A_RUN.get(last.verb)) is not None:
        RUNS_ENDED.count(outcome, reason)
        if last.verb is not Verb.RETURNED:
            _count_run_seconds(task, last)
    if last.verb is Verb.FAILED or last.verb is _CANCELLED:
        ENDED.count(task.state.value, last.category or "", reason)
    elif last.verb is _REPLAYED:
        REPLAYED.count()


def _count_run_seconds(task: Task, last: Occurrence) -> None:
    if task.started_at is not None:
        RUN_SECONDS.observe((last.at - task.started_at) / 1e6, task.task_type)
