"""Celery on Redis. The task does nothing but close its row; the step of a workflow keeps when it ran."""

from __future__ import annotations

import os
import time

from celery import Celery

from tests.bench.peer import rows

RESULTS = os.environ["PEER_RESULTS"] == "1"

app = Celery("peer", broker=os.environ["PEER_BROKER"], backend=os.environ["PEER_BROKER"] if RESULTS else None)
app.conf.update(
    task_ignore_result=not RESULTS,
    worker_prefetch_multiplier=4,
    result_expires=3600,
    broker_connection_retry_on_startup=True,
)


@app.task(name="peer.noop")
def noop(task_id: str, params: str) -> dict[str, object]:
    rows.SYNC.hset(f"task:{task_id}", mapping=rows.done())
    return {"task_id": task_id, "ok": True}


@app.task(name="peer.step")
def step(value: str, step_id: str) -> str:
    began = time.time()
    rows.SYNC.hset(f"step:{step_id}", mapping={"started_at": repr(began), "completed_at": repr(time.time())})
    return value


@app.task(name="peer.joined")
def joined(values: list[str], workflow_id: str) -> int:
    rows.SYNC.hset(f"step:{workflow_id}", mapping={"completed_at": repr(time.time())})
    return len(values)
