"""A task that is gone: nothing happens to it any more, whatever its last state was."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.common.errors import NotFound
from services.tasks.domain import Task

NOW = 10
WAITING = Task(
    id="t", tenant="acme", task_type="DIAGNOSTIC", queue="q", spec="{}", priority=50, created_at=1, updated_at=1
).created()
MOVES: dict[str, Callable[[Task], Task]] = {
    "claimed": lambda task: task.claimed("w", NOW),
    "completed": lambda task: task.completed("{}", (), NOW),
    "returned": lambda task: task.returned((), NOW),
    "cancelled": lambda task: task.cancelled(NOW),
    "cleaned": lambda task: task.cleaned(NOW),
    "gone": lambda task: task.gone(NOW, "{}"),
}


def test_each_move_is_one_of_a_task_that_is_there() -> None:
    cancelled = WAITING.cancelled(2)
    assert MOVES["claimed"](WAITING).attempt == 1
    assert MOVES["cleaned"](cancelled).deleted_at == NOW
    assert MOVES["gone"](cancelled).erased


@pytest.mark.parametrize("move", MOVES)
def test_what_is_gone_is_not_found_by_any_move(move: str) -> None:
    gone = WAITING.cancelled(2).gone(3, "{}")
    with pytest.raises(NotFound) as caught:
        MOVES[move](gone)
    assert caught.value.reason == "TASK_NOT_FOUND"
