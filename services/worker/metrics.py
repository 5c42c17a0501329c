"""What a worker counts of its runs."""

from __future__ import annotations

from compute.tasks.v1 import worker_pb2 as pb

from services.telemetry.instruments import Counter, Gauge
from services.telemetry.labels import Label

OUTCOME = Label("outcome", ("result", "failure", "returned", "stopped", "lost"))
RUNS = Counter(
    "atelier_worker_runs_total",
    "Runs that ended here: as reported, stopped by those who own the task, or lost, when the report came too late.",
    OUTCOME,
)
RUNNING = Gauge("atelier_worker_runs_running", "Runs under way in this worker.")
CAPACITY = Gauge("atelier_worker_slots", "Runs that this worker takes at the same time.")


def count_run(finished: pb.FinishedTask | None, *, accepted: bool) -> None:
    if finished is None:
        RUNS.count("stopped")
    else:
        RUNS.count(finished.WhichOneof("outcome") or "" if accepted else "lost")
