"""Tasks that are steps of something larger: their names, and the ids that follow from them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from uuid import UUID, uuid5

import orjson

# A longer result travels with no message that somebody may not need, and lies in no document.
SHORT_RESULT_BYTES = 8 << 10
# Ids of keys are made in another namespace, so that no caller can reach a child's.
_CHILDREN = UUID("7a1f5a0e-3c0b-5b0e-9f0a-6d9c54a3b2e1")


class TaskParent(NamedTuple):
    """Whose step a task is: the try `attempt` at `step` of the workflow, training or surface `id`."""

    kind: str
    id: str
    step: str
    attempt: int

    @property
    def workflow_id(self) -> str | None:
        return self.id if self.kind == "workflow" else None

    def child_id(self, tenant: str) -> str:
        """The same for ever: the store's own uniqueness makes concurrent creates one task."""
        return _child_id(tenant, self)


@lru_cache(maxsize=8_192)
def _child_id(tenant: str, parent: TaskParent) -> str:
    """Remembered: it is asked for at each step of a child's life."""
    return str(uuid5(_CHILDREN, orjson.dumps([tenant, *parent]).decode()))
