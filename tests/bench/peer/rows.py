"""The task as the peer keeps it: one Redis hash for each."""

from __future__ import annotations

import os
import time

import redis
import redis.asyncio

URL = os.environ["PEER_ROWS"]
SYNC = redis.Redis.from_url(URL)
ASYNC = redis.asyncio.Redis.from_url(URL)


def new(task_id: str, queue_id: str, kind: str, params: str) -> dict[str, str]:
    return {
        "id": task_id,
        "celery_task_id": queue_id,
        "type": kind,
        "params": params,
        "status": "pending",
        "created_at": repr(time.time()),
    }


def done() -> dict[str, str]:
    return {"status": "completed", "result": '{"ok":true}', "completed_at": repr(time.time())}
