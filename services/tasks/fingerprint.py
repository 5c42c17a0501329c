"""What an Idempotency-Key was used for: a hash of what a request means, however it was spelled.

Members are sorted, equal numbers are spelled alike (7, 7.0 and 7e0; 0 and -0.0), and what is as it is by default counts
as left out, so that a default added later changes no fingerprint. Free objects are compared as they were sent.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from services.catalog.base import CommonFields
from services.catalog.free_json import canonical
from services.catalog.queues import INFERENCE_QUEUE
from services.catalog.tasks import TYPES
from services.tasks.domain import Task

_VERSION = "2:"


def fingerprint(task_type: str, spec: str) -> str:
    """Of a stored spec, the validated models as JSON. It begins with the version of its rule.

    A queue that is not named counts as `inference`, as when the rule was made, whatever the provider decides.
    """
    stored: dict[str, Any] = orjson.loads(spec)
    queue = (stored.get("common") or {}).get("queue_name") or INFERENCE_QUEUE
    kind = TYPES.get(task_type)
    stored["common"] = _told(stored.get("common") or {}, CommonFields)
    stored["params"] = _told(stored.get("params") or {}, kind.params if kind is not None else BaseModel)
    return _VERSION + hashlib.sha256(canonical([task_type, queue, stored])).hexdigest()


def same_request(stored: Task, asked: Task) -> bool:
    """Whether `asked`, a task that has just been made, asks for what `stored` was asked for.

    The first rule hashed the spec's text, whose free objects came in an order of chance. Where a task still has that
    text, what it means is compared; where it was changed since, the texts are.
    """
    if stored.fingerprint is None or ":" in stored.fingerprint:
        return stored.fingerprint == asked.fingerprint
    if _of_text(stored) == stored.fingerprint:
        return fingerprint(stored.task_type, stored.spec) == asked.fingerprint
    return _of_text(asked) == stored.fingerprint


def _of_text(task: Task) -> str:
    return hashlib.sha256(f"{task.task_type}\n{task.queue}\n{task.spec}".encode()).hexdigest()


def _told(values: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    defaults = _defaults(model)
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


@cache
def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    fields = model.model_fields.items()
    given = {name: info.get_default(call_default_factory=True) for name, info in fields if not info.is_required()}
    return {name: to_jsonable_python(value) for name, value in given.items()}
