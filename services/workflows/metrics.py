"""What the workflows service counts. Each replica counts its own writes, so that all together count each once."""

from __future__ import annotations

from services.catalog.enums import WorkflowStatus
from services.telemetry.instruments import LONG_SECONDS, Counter, Histogram
from services.telemetry.labels import Label
from services.workflows.domain import Workflow, WorkflowVerb

_ENDS = (WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.CANCELLED)
ENDED = Counter(
    "atelier_workflows_ended_total", "Workflows that ended.", Label("status", (status.value for status in _ENDS))
)
STEPS_ENDED = Counter(
    "atelier_workflow_steps_ended_total",
    "Tries at steps of workflows that ended.",
    Label("outcome", ("completed", "cached", "failed")),
)
SECONDS = Histogram(
    "atelier_workflow_seconds", "From the start of a workflow to its end.", buckets=(*LONG_SECONDS, 4 * 3600, 24 * 3600)
)
CACHE = Counter(
    "atelier_workflow_cache_total",
    "Steps that were looked for in the step cache: given what was made before (hit), made (miss), waiting for one that "
    "is under way (joined), or found without their files (gone).",
    Label("outcome", ("hit", "miss", "joined", "gone")),
)
SAVED_SECONDS = Counter("atelier_workflow_cache_saved_seconds_total", "Seconds of runs that the step cache saved.")
SAVED_USD = Counter("atelier_workflow_cache_saved_usd_total", "What calls to providers cost that the step cache saved.")
_STEPS = {WorkflowVerb.STEP_COMPLETED: "completed", WorkflowVerb.STEP_FAILED: "failed"}
_VERBS = {WorkflowVerb.COMPLETED, WorkflowVerb.FAILED, WorkflowVerb.CANCELLED}


def count_write(workflow: Workflow) -> None:
    """What a durable write of this replica says has happened."""
    if not workflow.outbox or (last := workflow.outbox[-1]).version != workflow.version:
        return
    for happening in last.happenings:
        if (outcome := _STEPS.get(happening.verb)) is not None:
            STEPS_ENDED.count("cached" if happening.cached else outcome)
        elif happening.verb in _VERBS:
            ENDED.count(last.state.value)
            if workflow.started_at is not None:
                SECONDS.observe((last.at - workflow.started_at) / 1e6)
