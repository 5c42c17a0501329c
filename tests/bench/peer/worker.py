"""Celery on Redis. The task does nothing but close its row."""

from __future__ import annotations

import os

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
