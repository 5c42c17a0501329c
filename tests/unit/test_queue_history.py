"""What each queue did within the last hour."""

from __future__ import annotations

from dataclasses import replace

from services.tasks.domain import SECOND, Task, TaskState
from services.tasks.queue_history import QueueHistories, QueueHistory

MINUTE = 60 * SECOND
NOW = 10_000 * MINUTE


def done(at: int, *, waited: float = 1.0, queue: str = "inference", attempt: int = 1) -> Task:
    """Completed at `at` by a run of ten seconds."""
    started = at - 10 * SECOND
    return Task(
        id="t",
        tenant="acme",
        task_type="GENERATION",
        queue=queue,
        spec="",
        priority=0,
        created_at=started - int(waited * SECOND),
        updated_at=at,
        started_at=started,
        completed_at=at,
        state=TaskState.COMPLETED,
        attempt=attempt,
    )


def test_what_was_completed_within_the_hour_is_counted_with_its_wait() -> None:
    histories = QueueHistories()
    for at, waited in ((NOW - 59 * MINUTE, 1.0), (NOW - 2 * MINUTE, 2.0), (NOW, 6.0)):
        histories.noticed(done(at, waited=waited))
    histories.noticed(done(NOW, queue="providers"))
    assert histories.within_the_hour("inference", NOW) == QueueHistory(3, 3.0)
    assert histories.within_the_hour("inference", NOW + 2 * MINUTE) == QueueHistory(2, 4.0)
    assert histories.within_the_hour("inference", NOW + 61 * MINUTE) == QueueHistory(0, None)
    assert histories.within_the_hour("providers", NOW) == QueueHistory(1, 1.0)
    assert histories.within_the_hour("nobody", NOW) == QueueHistory(0, None)


def test_a_later_run_says_nothing_of_the_first_wait() -> None:
    histories = QueueHistories()
    histories.noticed(done(NOW, attempt=2))
    assert histories.within_the_hour("inference", NOW) == QueueHistory(1, None)


def test_no_other_write_counts() -> None:
    histories, task = QueueHistories(), done(NOW)
    for state in set(TaskState) - {TaskState.COMPLETED}:
        histories.noticed(replace(task, state=state))
    histories.noticed(replace(task, deleted_at=NOW))
    histories.noticed(replace(task, updated_at=NOW + 1))
    assert histories.within_the_hour("inference", NOW) == QueueHistory(0, None)


def test_nothing_stays_of_a_queue_that_did_nothing_for_an_hour() -> None:
    histories = QueueHistories()
    for number in range(100):
        histories.noticed(done(NOW, queue=f"queue-{number}"))
    histories.noticed(done(NOW + 61 * MINUTE))
    assert list(histories._minutes) == ["inference"]
