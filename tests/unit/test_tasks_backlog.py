"""Who is next."""

import gc

from hypothesis import given
from hypothesis import strategies as st

from services.tasks.backlog import Backlog
from services.tasks.scheduler import AGE_PER_PRIORITY, QueuedTask


def waiting(
    name: str, *, tenant: str = "a", priority: int = 0, created: int = 0, after: int = 0, weight: float = 1.0
) -> QueuedTask:
    return QueuedTask(name, tenant, "inference", priority, created, 1, after, weight)


def names(items: list[QueuedTask]) -> list[str]:
    return [item.task_id for item in items]


def test_a_higher_priority_goes_first() -> None:
    backlog = Backlog()
    for item in (waiting("low", created=1), waiting("high", created=2, priority=1)):
        backlog.push(item, now=0)
    assert names(backlog.pop(2, now=0)) == ["high", "low"]


def test_only_what_is_due_is_ready() -> None:
    backlog = Backlog()
    assert not backlog.has_ready(now=0)
    backlog.push(waiting("later", after=10), now=0)
    assert not backlog.has_ready(now=9)
    assert backlog.has_ready(now=10)
    backlog.push(waiting("now"), now=0)
    assert backlog.has_ready(now=0)
    backlog.pop(1, now=0)
    assert not backlog.has_ready(now=0)


def test_a_task_that_waited_long_enough_goes_before_a_higher_priority() -> None:
    backlog = Backlog()
    backlog.push(waiting("old", created=0), now=0)
    backlog.push(waiting("urgent", created=AGE_PER_PRIORITY + 1, priority=1), now=0)
    assert names(backlog.pop(1, now=0)) == ["old"]


def test_tenants_take_turns_however_much_one_of_them_sends() -> None:
    backlog = Backlog()
    for number in range(10):
        backlog.push(waiting(f"a{number}", tenant="a", created=number), now=0)
    backlog.push(waiting("b0", tenant="b", created=100), now=0)
    backlog.push(waiting("b1", tenant="b", created=101), now=0)
    assert names(backlog.pop(4, now=0)) == ["a0", "b0", "a1", "b1"]


def test_a_tenant_with_heavy_tasks_gets_fewer_of_them() -> None:
    backlog = Backlog()
    for number in range(8):
        backlog.push(waiting(f"a{number}", tenant="a", weight=3.0), now=0)
        backlog.push(waiting(f"b{number}", tenant="b", weight=1.0), now=0)
    taken = names(backlog.pop(8, now=0))
    assert sum(name.startswith("b") for name in taken) == 6


def test_a_tenant_that_comes_back_has_saved_nothing_up() -> None:
    backlog = Backlog()
    for number in range(20):
        backlog.push(waiting(f"a{number}", tenant="a", created=number), now=0)
    backlog.pop(10, now=0)
    for number in range(10):
        backlog.push(waiting(f"b{number}", tenant="b", created=number), now=0)
    taken = names(backlog.pop(6, now=0))
    assert 2 <= sum(name.startswith("b") for name in taken) <= 4


def test_a_delayed_task_is_not_taken_before_its_time() -> None:
    backlog = Backlog()
    backlog.push(waiting("later", after=50), now=0)
    assert backlog.pop(1, now=49) == []
    assert backlog.next_due() == 50
    assert names(backlog.pop(1, now=50)) == ["later"]


def test_a_removed_task_is_never_taken() -> None:
    backlog = Backlog()
    backlog.push(waiting("gone"), now=0)
    backlog.remove("gone")
    assert backlog.pop(1, now=0) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["push", "remove", "pop"]), st.integers(0, 9), st.sampled_from("abc"), st.integers(0, 3)
        ),
        max_size=60,
    )
)
def test_every_pushed_task_is_taken_exactly_once_unless_removed(steps: list[tuple[str, int, str, int]]) -> None:
    backlog, expected = Backlog(), set()
    for action, number, tenant, priority in steps:
        name = f"{tenant}{number}"
        if action == "push":
            backlog.push(waiting(name, tenant=tenant, priority=priority, created=number), now=0)
            expected.add(name)
        elif action == "remove":
            backlog.remove(name)
            expected.discard(name)
        else:
            taken = names(backlog.pop(2, now=0))
            assert len(taken) == min(2, len(expected)) and set(taken) <= expected
            expected -= set(taken)
    assert set(names(backlog.pop(100, now=0))) == expected


def test_what_was_removed_is_dropped_also_while_nobody_takes_anything() -> None:
    backlog = Backlog()
    kept = waiting("kept")
    backlog.push(kept, now=0)
    for number in range(5_000):
        backlog.push(waiting(f"t{number}", after=number % 2), now=0)
        backlog.remove(f"t{number}")
    assert sum(type(held) is QueuedTask for held in gc.get_objects()) < 2_000
    assert backlog.pop(9, now=10) == [kept]
