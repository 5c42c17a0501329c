"""What holds of every write of a workflow's head, whoever makes it and whatever died before."""

from __future__ import annotations

from collections import Counter

from services.catalog.enums import StepStatus, WorkflowStatus
from services.workflows.definition import Definition, OnFailure
from services.workflows.domain import MADE, Entry, Row, Workflow, WorkflowVerb

DONE = (*MADE, StepStatus.SKIPPED)
_LIVE = (WorkflowStatus.RUNNING, WorkflowStatus.PAUSED)
_S = StepStatus
# Without a resume. What fails or ends at once does so in the write that begins it.
_STEPS_TO: dict[StepStatus, tuple[StepStatus, ...]] = {
    _S.PENDING: (_S.PENDING, _S.WAITING, _S.RUNNING, _S.SKIPPED, *MADE, _S.FAILED, _S.CANCELLED),
    _S.WAITING: (_S.WAITING, _S.RUNNING, *MADE, _S.FAILED, _S.CANCELLED),
    _S.RUNNING: (_S.RUNNING, *MADE, _S.FAILED, _S.CANCELLED),
    _S.FAILED: (_S.FAILED,),
    _S.COMPLETED: (_S.COMPLETED,),
    _S.CACHED: (_S.CACHED,),
    _S.SKIPPED: (_S.SKIPPED,),
    _S.CANCELLED: (_S.CANCELLED,),
}
_ENDS = {WorkflowVerb.COMPLETED, WorkflowVerb.FAILED, WorkflowVerb.CANCELLED}
_AFTER_THE_END = {WorkflowVerb.RESUMED, WorkflowVerb.CLEANED}


def check_first(head: Workflow) -> None:
    assert head.version == 1
    assert [entry.version for entry in head.outbox] == [1]
    _check_standing(head)


def check_write(before: Workflow, after: Workflow, definition: Definition) -> None:
    assert after.version == before.version + 1, "written over somebody else's write"
    told = [entry for entry in after.outbox if entry.version > before.version]
    assert [entry.version for entry in told] in ([], [after.version]), "events of another version"
    _check_entry(told[0], after) if told else _check_nothing_happened(before, after)
    resumed = any(happening.verb is WorkflowVerb.RESUMED for entry in told for happening in entry.happenings)
    for number, (old, new) in enumerate(zip(before.rows, after.rows, strict=True)):
        _check_row(old, new, resumed=resumed, failed=after.state is WorkflowStatus.FAILED)
        if new.attempt > old.attempt or (new.state is _S.SKIPPED is not old.state):
            _check_start(before, after, definition, number)
    if before.ended and not resumed:
        assert (before.state, before.rows) == (after.state, after.rows), "changed after its end"
    _check_standing(after)


def _check_nothing_happened(before: Workflow, after: Workflow) -> None:
    assert (before.state, before.rows) == (after.state, after.rows), "changed without an event"


def _check_entry(entry: Entry, after: Workflow) -> None:
    """What events say is how things stand."""
    assert entry.happenings
    assert entry.state is after.state
    assert entry.completed == sum(row.state in MADE for row in after.rows) == after.completed_steps
    verbs = [happening.verb for happening in entry.happenings]
    for place, verb in enumerate(verbs):
        assert verb not in _ENDS or place == len(verbs) - 1, "said after the end"
    if after.ended and not set(verbs) & _AFTER_THE_END:
        assert verbs[-1].value == after.state.value.lower()


def _check_row(old: Row, new: Row, *, resumed: bool, failed: bool) -> None:
    if resumed and old.state is _S.FAILED:
        assert (new.state, new.attempt, new.decision) == (_S.PENDING, old.attempt, None)
    elif failed and old.state is _S.WAITING and new.state is _S.PENDING:
        assert (new.attempt, old.decision, new.decision) == (old.attempt, None, None)
    else:
        assert new.state in _STEPS_TO[old.state], f"{old.state} became {new.state}"
        assert old.decision is None or old.decision == new.decision, "a decision was changed"
    assert new.attempt - old.attempt in (0, 1)
    assert new.attempt == old.attempt or old.state in (_S.PENDING, _S.WAITING), "tried again while it was tried"
    assert not old.slots or len(old.slots) == len(new.slots), "slots came or went"
    for one, other in zip(old.slots, new.slots, strict=False):
        _check_row(one, other, resumed=resumed and old.state is _S.FAILED, failed=failed)


def _check_start(before: Workflow, after: Workflow, definition: Definition, number: int) -> None:
    assert before.state is after.state is WorkflowStatus.RUNNING or after.ended, "begun while it was paused"
    assert before.state is WorkflowStatus.RUNNING
    assert all(after.rows[place].state in DONE for place in definition.before[number]), "begun before what it needs"
    if definition.on_failure is OnFailure.STOP:
        assert not any(row.state is _S.FAILED for row in before.rows), "begun after a failure"


def _check_standing(head: Workflow) -> None:
    states = Counter(row.state for row in head.rows)
    if head.state is WorkflowStatus.COMPLETED:
        assert states.keys() <= set(DONE)
    if head.state is WorkflowStatus.FAILED:
        assert states[_S.FAILED]
        assert not states[_S.RUNNING]
        assert all(row.decision for row in head.rows if row.state is _S.WAITING), "asked where nobody can decide"
    if head.state is WorkflowStatus.CANCELLED:
        assert states.keys() <= {*DONE, _S.FAILED, _S.CANCELLED}
    else:
        assert not head.to_cancel
        assert not states[_S.CANCELLED]
    assert (head.completed_at is not None) == head.ended
    assert head.deleted_at is None or head.ended, "cleaned up while it lives"
    somebody_must_look = (
        bool(head.to_cancel)
        or (states[_S.RUNNING] and head.state in _LIVE)
        or (states[_S.WAITING] and head.state is WorkflowStatus.RUNNING)
    )
    assert head.due is not None or not somebody_must_look, "nobody will look at it"
    for row in head.rows:
        assert row.state is not _S.RUNNING or not row.slots or any(slot.state is _S.RUNNING for slot in row.slots)
