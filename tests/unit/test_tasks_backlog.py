"""The waiting tasks of one queue: who is next, and that nothing is kept of those that are gone."""

from __future__ import annotations

from services.tasks.backlog import Backlog
from services.tasks.scheduler import AGE_PER_PRIORITY, QueuedTask

NOW = 1_000


def task(name: str, tenant: str = "acme", *, priority: int = 50, created: int = 0, not_before: int = 0) -> QueuedTask:
    return QueuedTask(name, tenant, "q", priority, created, 1, not_before)


def names(backlog: Backlog, room: int = 100, now: int = NOW) -> list[str]:
    return [item.task_id for item in backlog.pop(room, now)]


def kept(backlog: Backlog) -> int:
    """Entries in its heaps, those of tasks that are gone included."""
    return len(backlog._delayed) + sum(map(len, backlog._ready.values()))


def test_the_more_urgent_is_first_and_of_equals_the_older_and_of_those_the_first_to_come() -> None:
    backlog = Backlog()
    for item in (
        task("b", created=5),
        task("late", created=6),
        task("urgent", priority=51, created=9),
        task("c", created=5),
    ):
        backlog.push(item, NOW)
    assert names(backlog) == ["urgent", "b", "c", "late"]
    assert len(backlog) == 0


def test_age_outweighs_a_step_of_priority_in_the_end() -> None:
    backlog = Backlog()
    backlog.push(task("urgent", priority=51, created=AGE_PER_PRIORITY + 1), NOW)
    backlog.push(task("old", priority=50, created=0), NOW)
    assert names(backlog) == ["old", "urgent"]


def test_no_more_are_taken_than_there_is_room_for() -> None:
    backlog = Backlog()
    for number in range(5):
        backlog.push(task(str(number), created=number), NOW)
    assert names(backlog, 0) == [] and names(backlog, 2) == ["0", "1"] and len(backlog) == 3
    assert "2" in backlog and "1" not in backlog


def test_what_is_put_off_waits_until_its_time() -> None:
    backlog = Backlog()
    backlog.push(task("later", not_before=NOW + 10), NOW)
    backlog.push(task("soon", not_before=NOW + 5), NOW)
    assert backlog.next_due() == NOW + 5
    assert not backlog.has_ready(NOW + 4) and names(backlog, now=NOW + 4) == []
    assert backlog.has_ready(NOW + 5) and names(backlog, now=NOW + 5) == ["soon"]
    assert names(backlog, now=NOW + 10) == ["later"] and backlog.next_due() is None


def test_a_task_that_is_due_now_is_ready_at_once() -> None:
    backlog = Backlog()
    backlog.push(task("t", not_before=NOW), NOW)
    assert backlog.next_due() is None and names(backlog) == ["t"]


def test_tenants_take_turns_and_one_that_comes_back_has_saved_nothing_up() -> None:
    backlog = Backlog()
    for number in range(3):
        backlog.push(task(f"a{number}", "a", created=number), NOW)
        backlog.push(task(f"b{number}", "b", created=number), NOW)
    assert sorted(names(backlog, 2)) == ["a0", "b0"] and sorted(names(backlog, 2)) == ["a1", "b1"]
    backlog.push(task("c0", "c"), NOW)
    backlog.push(task("c1", "c"), NOW)
    assert sorted(names(backlog, 3)) == ["a2", "b2", "c0"]


def test_what_was_removed_or_replaced_is_not_taken() -> None:
    backlog = Backlog()
    backlog.push(task("gone"), NOW)
    backlog.push(task("t", priority=10), NOW)
    backlog.push(task("t", priority=60), NOW)
    backlog.push(task("other"), NOW)
    backlog.remove("gone")
    backlog.remove("never heard of")
    assert [(item.task_id, item.priority) for item in backlog.pop(9, NOW)] == [("t", 60), ("other", 50)]


def test_of_tenants_that_have_nothing_waiting_nothing_is_kept() -> None:
    """Those who were served more than the others are remembered until these have caught up."""
    backlog = Backlog()
    for number in range(500):
        backlog.push(task(f"t{number}", f"tenant{number}"), NOW)
    assert len(names(backlog, 500)) == 500 and names(backlog) == []
    assert not backlog._ready and len(backlog._served) <= 500
    for number in range(500):
        backlog.push(task(f"u{number}", "last"), NOW)
    assert len(names(backlog, 500)) == 500 and names(backlog) == []
    assert not backlog._ready


def test_of_tasks_that_are_gone_only_so_many_are_kept_though_nobody_takes_any() -> None:
    """A tenant that creates and cancels all day, at a queue without a worker; ready and put off alike."""
    backlog = Backlog()
    for number in range(5_000):
        name = f"t{number}"
        backlog.push(task(name, not_before=0 if number % 2 else NOW * 2), NOW)
        backlog.remove(name)
        assert kept(backlog) <= 1_026
    backlog.push(task("stays"), NOW)
    for _ in range(3_000):
        backlog.push(task("stays"), NOW)
        assert kept(backlog) <= 1_027
    assert names(backlog) == ["stays"]
