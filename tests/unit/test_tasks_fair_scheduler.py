"""Which task goes to which worker, where queues and workers are several."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.tasks.fair_scheduler import FairScheduler
from services.tasks.scheduler import FreeWorker, QueuedTask, Scheduler

BOTH = FreeWorker("both", ("inference", "providers"), 1)
LOCAL = FreeWorker("local", ("inference",), 3)


def waiting(name: str, queue: str, *, tenant: str = "a", created: int = 0, after: int = 0) -> QueuedTask:
    return QueuedTask(name, tenant, queue, 0, created, 1, after)


def scheduler(*tasks: QueuedTask) -> Scheduler:
    made = FairScheduler()
    for task in tasks:
        made.add(task, 0)
    return made


def taken(made: Scheduler, *workers: FreeWorker) -> list[tuple[str, str]]:
    return [(task.task_id, worker_id) for task, worker_id in made.take(workers, 0)]


def test_a_new_task_goes_where_most_room_is_among_those_that_serve_its_queue() -> None:
    made = scheduler()
    assert made.place("inference", [BOTH, LOCAL], 0) == "local"
    assert made.place("providers", [BOTH, LOCAL], 0) == "both"
    assert made.place("another", [BOTH, LOCAL], 0) is None
    assert made.place("inference", [], 0) is None


def test_what_waits_goes_first_in_any_queue_of_the_worker() -> None:
    made = scheduler(waiting("t", "providers"))
    assert made.place("inference", [BOTH], 0) is None
    assert made.place("inference", [BOTH, LOCAL], 0) == "local"
    assert taken(made, BOTH) == [("t", "both")]
    assert made.place("inference", [BOTH], 0) == "both"


def test_a_pause_that_is_not_over_holds_nobody_up() -> None:
    made = scheduler(waiting("later", "inference", after=10))
    assert made.place("inference", [LOCAL], 9) == "local"
    assert made.place("inference", [LOCAL], 10) is None
    assert taken(made, LOCAL) == []


def test_the_queues_of_a_worker_take_turns_also_one_slot_at_a_time() -> None:
    tasks = [waiting(f"{queue[0]}{number}", queue) for queue in BOTH.queues for number in range(3)]
    made = scheduler(*tasks)
    assert [taken(made, BOTH)[0][0] for _ in tasks] == ["i0", "p0", "i1", "p1", "i2", "p2"]


def test_a_queue_that_was_empty_for_long_has_one_turn_and_no_more_saved_up() -> None:
    made = scheduler(*(waiting(f"i{number}", "inference") for number in range(6)))
    assert [taken(made, BOTH)[0][0] for _ in range(3)] == ["i0", "i1", "i2"]
    for number in range(3):
        made.add(waiting(f"p{number}", "providers"), 0)
    assert [taken(made, BOTH)[0][0] for _ in range(4)] == ["p0", "i3", "p1", "i4"]


def test_a_task_goes_to_a_worker_of_its_queue_and_else_waits() -> None:
    made = scheduler(waiting("outside", "providers"), waiting("here", "inference"), waiting("nobody's", "another"))
    assert taken(made, LOCAL) == [("here", "local")]
    assert made.waits("outside", "providers") and made.depth() == {"providers": 1, "inference": 0, "another": 1}
    assert taken(made, LOCAL, BOTH) == [("outside", "both")]


def test_tenants_share_within_a_queue_by_what_their_runs_take() -> None:
    tasks = [waiting(f"{tenant}{number}", "inference", tenant=tenant) for tenant in "ab" for number in range(2)]
    assert [name for name, _ in taken(scheduler(*tasks), LOCAL)] == ["a0", "b0", "a1"]


def test_what_runs_took_is_learnt() -> None:
    made = scheduler()
    assert made.estimate("GENERATION") == 1.0
    made.learn("GENERATION", 10.0)
    made.learn("GENERATION", 20.0)
    assert made.estimate("GENERATION") == 12.0


def test_what_is_removed_or_dropped_is_not_taken() -> None:
    made = scheduler(waiting("t", "inference"), waiting("u", "providers"))
    made.remove("t", "inference")
    made.remove("t", "unknown")
    made.drop("providers")
    assert (taken(made, BOTH, LOCAL), made.depth()) == ([], {"inference": 0})


QUEUE = st.sampled_from(["q", "r", "s"])
WORKERS = st.lists(st.tuples(st.sets(QUEUE, min_size=1), st.integers(1, 4)), max_size=4)


@given(tasks=st.lists(st.tuples(QUEUE, st.sampled_from("ab")), max_size=20), offered=WORKERS)
def test_room_is_filled_and_never_more(tasks: list[tuple[str, str]], offered: list[tuple[set[str], int]]) -> None:
    made = scheduler(*(waiting(f"t{at}", queue, tenant=tenant) for at, (queue, tenant) in enumerate(tasks)))
    workers = {f"w{at}": FreeWorker(f"w{at}", tuple(queues), slots) for at, (queues, slots) in enumerate(offered)}
    found = made.take(list(workers.values()), 0)
    used = Counter(worker_id for _, worker_id in found)
    assert all(task.queue in workers[worker_id].queues for task, worker_id in found)
    assert all(used[name] <= worker.slots for name, worker in workers.items())
    assert len({task.task_id for task, _ in found}) == len(found)
    idle = {queue for name, worker in workers.items() if used[name] < worker.slots for queue in worker.queues}
    assert all(not waits for queue, waits in made.depth().items() if queue in idle)
