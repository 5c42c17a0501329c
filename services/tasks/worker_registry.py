"""The workers heard of lately, and what each has room for."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import structlog

from services.tasks.scheduler import FreeWorker

log = structlog.get_logger()


class RegisteredModel(NamedTuple):
    """What a worker says of a model that answers it."""

    serves: str
    name: str
    sha256: str
    licence: str
    made_for: str
    source: str
    upstream: str


class RegisteredFacts(NamedTuple):
    """What a worker says of itself; `uptime` in seconds."""

    memory_bytes: int = 0
    tasks_completed: int = 0
    uptime: float = 0.0

    @property
    def tasks_per_minute(self) -> float:
        """On average, since it started."""
        return 60 * self.tasks_completed / self.uptime if self.uptime else 0.0


NO_FACTS = RegisteredFacts()
NOTHING_UNWELL: Mapping[str, str] = MappingProxyType({})


class RegisteredWorker(NamedTuple):
    """`until` is this process's monotonic clock; without `inbox` it is given nothing."""

    queues: tuple[str, ...]
    capacity: int
    until: float
    inbox: str
    unwell: Mapping[str, str] = NOTHING_UNWELL
    models: tuple[RegisteredModel, ...] = ()
    facts: RegisteredFacts = NO_FACTS


class WorkerRegistry:
    """`patience`: seconds of silence after which a worker counts as gone."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._workers: dict[str, RegisteredWorker] = {}

    @property
    def present(self) -> bool:
        return bool(self._workers)

    @property
    def unwell(self) -> dict[str, str]:
        """What does not answer one worker or another, in the alphabet's order; why it cannot be used, where that is
        known.
        """
        found: dict[str, str] = {}
        for worker in self._workers.values():
            found |= {name: why or found.get(name, "") for name, why in worker.unwell.items()}
        return dict(sorted(found.items()))

    @property
    def models(self) -> list[RegisteredModel]:
        """Each once, by what it serves and its name."""
        return sorted({model for worker in self._workers.values() for model in worker.models})

    def heard(
        self,
        worker_id: str,
        queues: Sequence[str],
        capacity: int,
        inbox: str,
        unwell: Mapping[str, str] = NOTHING_UNWELL,
        models: tuple[RegisteredModel, ...] = (),
        facts: RegisteredFacts = NO_FACTS,
    ) -> bool:
        """Whether there may be room that was not there before."""
        known = self._workers.get(worker_id)
        was_unwell = known is not None and known.unwell
        if capacity <= 0:
            self._workers.pop(worker_id, None)
        else:
            until = time.monotonic() + self._patience
            self._workers[worker_id] = RegisteredWorker(tuple(queues), capacity, until, inbox, unwell, models, facts)
        return known is None or (known.capacity, known.inbox) != (capacity, inbox) or was_unwell != unwell

    def alive(self, worker_id: str) -> None:
        """It said something else than a heartbeat, which may be late on a busy machine."""
        if worker := self._workers.get(worker_id):
            self._workers[worker_id] = worker._replace(until=time.monotonic() + self._patience)

    def workers(self) -> dict[str, RegisteredWorker]:
        """Each as it described itself last."""
        return dict(self._workers)

    def free(self, now: float, taken: Callable[[str], int]) -> list[FreeWorker]:
        """Those that can be given more, when so many of their slots are taken. One that is late with a heartbeat may be
        gone, and one that lacks a model is given nothing of a queue that another serves with all of its own.
        """
        punctual = now + self._patience / 2
        return [
            FreeWorker(worker_id, queues, slots)
            for worker_id, worker in self._workers.items()
            if worker.inbox
            and worker.until > punctual
            and (slots := worker.capacity - taken(worker_id)) > 0
            and (queues := self._queues_for(worker_id, worker))
        ]

    def _queues_for(self, worker_id: str, worker: RegisteredWorker) -> tuple[str, ...]:
        if not worker.unwell:
            return worker.queues
        return tuple(queue for queue in worker.queues if not self.has_well((queue,), but=worker_id))

    def queues_of(self, worker_id: str) -> tuple[str, ...]:
        worker = self._workers.get(worker_id)
        return worker.queues if worker else ()

    def has_well(self, queues: Sequence[str], *, but: str) -> bool:
        """Whether a worker other than that one takes tasks of one of these queues, and has all of its models."""
        return any(
            worker_id != but and worker.inbox and not worker.unwell and set(worker.queues) & set(queues)
            for worker_id, worker in self._workers.items()
        )

    def slots(self) -> dict[str, list[int]]:
        """What each worker of a queue can run at the same time, by queue."""
        found: dict[str, list[int]] = defaultdict(list)
        for worker in self._workers.values():
            for queue in worker.queues:
                found[queue].append(worker.capacity)
        return found

    def inbox(self, worker_id: str | None) -> str:
        """Empty where it has none, or is not there any more."""
        worker = self._workers.get(worker_id or "")
        return worker.inbox if worker else ""

    def mark_unreachable(self, inbox: str) -> None:
        """Nobody listens there; its worker is given nothing until it says again where it listens."""
        for worker_id, worker in self._workers.items():
            if worker.inbox == inbox:
                self._workers[worker_id] = worker._replace(inbox="")

    def extend_deadlines(self, stalled: float) -> None:
        """Those many seconds of silence were this process's own."""
        for worker_id, worker in self._workers.items():
            self._workers[worker_id] = worker._replace(until=worker.until + stalled)

    def drop_silent(self, now: float) -> None:
        for worker_id in [worker_id for worker_id, worker in self._workers.items() if worker.until <= now]:
            log.warning("worker silent", worker_id=worker_id)
            del self._workers[worker_id]
