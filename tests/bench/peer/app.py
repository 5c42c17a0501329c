"""The peer's API: POST /tasks writes a row and enqueues a job, GET /tasks/{id} reads the row; POST /workflows begins
chains of steps, several of them joined by a chord.

PEER_STYLE=sync is a plain function in FastAPI's threads, the way the documentation shows Celery; async calls the
queue on the event loop.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

from celery import chain, chord
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from tests.bench.peer import rows
from tests.bench.peer.worker import joined, noop, step

app = FastAPI()


class TaskIn(BaseModel):
    type: str = Field(min_length=1, max_length=64)
    prompt: str = ""
    width: int = Field(1024, ge=64, le=4096)
    height: int = Field(1024, ge=64, le=4096)
    steps: int = Field(28, ge=1, le=200)
    extra: dict[str, Any] = {}


class TaskOut(BaseModel):
    id: str
    celery_task_id: str | None
    type: str
    status: str
    created_at: float
    completed_at: float | None = None
    result: str | None = None


class WorkflowIn(BaseModel):
    """So many lines of so many steps side by side, behind one step or from the beginning."""

    id: str
    lines: int = 1
    steps: int = 1
    behind_one: bool = False


def _shown(row: dict[str, str]) -> TaskOut:
    return TaskOut.model_validate({name: value for name, value in row.items() if name != "params"})


def _new(task: TaskIn) -> tuple[str, str, str, dict[str, str]]:
    task_id, queue_id, params = str(uuid.uuid4()), str(uuid.uuid4()), task.model_dump_json()
    return task_id, queue_id, params, rows.new(task_id, queue_id, task.type, params)


def create_in_thread(task: TaskIn) -> TaskOut:
    task_id, queue_id, params, row = _new(task)
    rows.SYNC.hset(f"task:{task_id}", mapping=row)
    noop.apply_async((task_id, params), task_id=queue_id)
    return _shown(row)


async def create_on_loop(task: TaskIn) -> TaskOut:
    task_id, queue_id, params, row = _new(task)
    await rows.ASYNC.hset(f"task:{task_id}", mapping=row)
    noop.apply_async((task_id, params), task_id=queue_id)
    return _shown(row)


_CREATE = {"sync": create_in_thread, "async": create_on_loop}[os.environ["PEER_STYLE"]]
app.post("/tasks", status_code=202, response_model=TaskOut)(_CREATE)


@app.get("/tasks/{task_id}", response_model=TaskOut)
async def show(task_id: str) -> TaskOut:
    raw = await rows.ASYNC.hgetall(f"task:{task_id}")
    if not raw:
        raise HTTPException(404)
    return _shown({name.decode(): value.decode() for name, value in raw.items()})


@app.post("/workflows", status_code=202)
def begin(wanted: WorkflowIn) -> str:
    before = [step.s("of the first", f"{wanted.id}.first")] if wanted.behind_one else []
    lines = [_line(wanted, number) for number in range(wanted.lines)]
    behind = [chord(lines, joined.s(wanted.id))] if len(lines) > 1 else lines
    chain(*before, *behind).apply_async()
    return wanted.id


def _line(wanted: WorkflowIn, number: int) -> Any:
    names = [f"{wanted.id}.{number}.{place}" for place in range(wanted.steps)]
    first = step.s(names[0]) if wanted.behind_one else step.s(f"of line {number}", names[0])
    return chain(first, *(step.s(name) for name in names[1:]))
