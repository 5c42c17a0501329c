"""Creating a task: what is asked for, the task that it becomes, and whether it is one that is there already."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from services.common.errors import IdempotencyConflict, NotFound
from services.common.ids import new_uuid
from services.common.parents import TaskParent
from services.durable.aggregates import InsertResult
from services.tasks.domain import Task
from services.tasks.fingerprint import fingerprint, same_request


class NewTask(NamedTuple):
    """What a caller asks for, validated."""

    tenant: str
    task_type: str
    queue: str
    spec: str
    priority: int
    origin_instance: str
    origin_zone: str | None = None
    origin_version: str | None = None
    origin_tenant_id: str | None = None
    provider_type: str | None = None
    workflow_id: str | None = None
    idempotency_key: str = ""
    inputs: str | None = None
    steps: int = 1
    parent: TaskParent | None = None
    quiet: bool = False
    max_attempts: int | None = None
    traceparent: str | None = None

    @property
    def task_id(self) -> str:
        """With a parent or a key the id follows from it: the store's own uniqueness makes concurrent posts one task."""
        if self.parent is not None:
            return self.parent.child_id(self.tenant)
        if not self.idempotency_key:
            return new_uuid()
        return str(uuid5(NAMESPACE_URL, f"atelier:{len(self.tenant)}:{self.tenant}:{self.idempotency_key}"))


class CreateResult(NamedTuple):
    task: Task
    replayed: bool


class PendingCreate(NamedTuple):
    """A task on its way into the store; `kept` if a worker's slot is reserved for it."""

    task: Task
    kept: bool
    written: asyncio.Future[InsertResult[Task]]


def task_of(new: NewTask, now: int, attempts: int) -> Task:
    """As it is created; with so many `attempts` where nobody asks for another number."""
    return Task(
        id=new.task_id,
        tenant=new.tenant,
        task_type=new.task_type,
        queue=new.queue,
        spec=new.spec,
        priority=new.priority,
        created_at=now,
        updated_at=now,
        max_attempts=new.max_attempts or attempts,
        origin_instance=new.origin_instance,
        origin_zone=new.origin_zone,
        origin_version=new.origin_version,
        origin_tenant_id=new.origin_tenant_id,
        provider_type=new.provider_type,
        workflow_id=new.workflow_id,
        fingerprint=fingerprint(new.task_type, new.spec) if new.idempotency_key else None,
        inputs=new.inputs,
        steps=new.steps if new.steps > 1 else None,
        parent=new.parent,
        quiet=new.quiet or None,
        traceparent=new.traceparent,
    ).created()


def check_joined(stored: Task, asked: Task) -> None:
    """`asked` is answered with what stands under its id: a child whatever its spec, others where they ask for the same.

    Raises IdempotencyConflict, and NotFound: TASK_DELETED.
    """
    if asked.parent is not None:
        if stored.erased:
            raise child_deleted(stored.id)
        return
    if stored.erased:
        said = "the task this Idempotency-Key made was deleted; use another key"
        raise IdempotencyConflict(said, reason="IDEMPOTENCY_KEY_SPENT")
    if not same_request(stored, asked):
        raise IdempotencyConflict("this Idempotency-Key was used before with another body")


def child_deleted(task_id: str) -> NotFound:
    return NotFound(f"task {task_id}, the child of a step, was deleted", reason="TASK_DELETED")
