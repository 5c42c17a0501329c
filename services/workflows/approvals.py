"""Links with which somebody decides on a step that waits, without a key: each is good for one decision.

A link names the wait itself, by the attempt that would follow: once that was decided the head refuses it, also where
the step waits anew after it was rejected. So nothing is stored to make it good only once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from services.catalog.enums import StepStatus, WorkflowStatus
from services.catalog.shapes import ValueKind, outputs_of
from services.common.errors import IllegalTransition, NotFound
from services.common.signed_tokens import TokenSigner, expired
from services.workflows.answers import AnswerRoom
from services.workflows.definition import GATE_SECONDS, StepDefinition
from services.workflows.domain import SECOND, Decision, Row, Workflow
from services.workflows.service import WorkflowService

_PURPOSE = b"atelier approval link v1"
_MOST_PICTURES = 24


class Approval(NamedTuple):
    """What a link asks, and whom; `attempt` is that which an approval lets begin."""

    tenant: str
    workflow_id: str
    step_id: str
    attempt: int
    expires: int
    approver: str | None = None

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.expires, UTC)


class OpenApproval(NamedTuple):
    """A link that can still decide."""

    approval: Approval
    workflow: Workflow
    step: StepDefinition
    pictures: Sequence[str]


class Decided(NamedTuple):
    """What came of a link."""

    workflow: Workflow
    step_id: str
    decision: Decision


class Approvals:
    def __init__(self, service: WorkflowService, secrets: Sequence[bytes], clock: Callable[[], int]) -> None:
        """`clock` answers microseconds."""
        self._service = service
        self._tokens = TokenSigner(secrets, _PURPOSE)
        self._clock = clock

    async def create(self, tenant: str, workflow_id: str, step_id: str, approver: str | None) -> tuple[str, Approval]:
        """Raises NotFound; IllegalTransition: STEP_NOT_WAITING."""
        workflow, step, row = await self._found(tenant, workflow_id, step_id)
        if not _waits(workflow, row):
            raise IllegalTransition(f"step {step_id} waits for no decision", reason="STEP_NOT_WAITING")
        expires = _expires(workflow, step, row, self._clock())
        approval = Approval(tenant, workflow.id, step_id, row.attempt + 1, expires, approver)
        return self._tokens.sign(*approval[:-1], approver or ""), approval

    async def resolve(self, token: str) -> OpenApproval:
        """Raises NotFound: LINK_INVALID, LINK_EXPIRED; IllegalTransition: LINK_USED."""
        approval = self._read(token)
        workflow, step, row = await self._of(approval)
        if not _waits(workflow, row) or row.attempt + 1 != approval.attempt:
            raise _used(row)
        return OpenApproval(approval, workflow, step, await self._pictures(workflow, step))

    async def decide(self, token: str, decision: Decision) -> Decided:
        """Who a link is for decides by it, whatever the decision says. Raises as `resolve`."""
        asked = await self.resolve(token)
        approval = asked.approval
        decision = decision._replace(by=approval.approver or decision.by, at=self._clock())
        try:
            workflow = await self._service.signal(
                approval.tenant, approval.workflow_id, approval.step_id, decision, attempt=approval.attempt
            )
        except IllegalTransition as error:
            raise _used((await self._of(approval))[2]) from error
        return Decided(workflow, approval.step_id, decision)

    def _read(self, token: str) -> Approval:
        tenant, workflow_id, step_id, attempt, expires, approver = self._tokens.read(token)
        approval = Approval(tenant, workflow_id, step_id, attempt, expires, approver or None)
        if approval.expires * SECOND <= self._clock():
            raise expired()
        return approval

    async def _of(self, approval: Approval) -> tuple[Workflow, StepDefinition, Row]:
        try:
            return await self._found(approval.tenant, approval.workflow_id, approval.step_id)
        except NotFound as error:
            raise NotFound("what this link asked for is no longer there", reason="LINK_INVALID") from error

    async def _found(self, tenant: str, workflow_id: str, step_id: str) -> tuple[Workflow, StepDefinition, Row]:
        workflow = await self._service.get(tenant, workflow_id)
        definition = (await self._service.definition(workflow.id)).definition
        place = definition.index.get(step_id)
        if place is None:
            raise NotFound(f"workflow {workflow_id} has no such step", reason="STEP_NOT_FOUND")
        return workflow, definition.steps[place], workflow.rows[place]

    async def _pictures(self, workflow: Workflow, step: StepDefinition) -> list[str]:
        """What the steps before it made, which is what a decision is about."""
        definition = (await self._service.definition(workflow.id)).definition
        made, found = (await self._service.results(workflow, AnswerRoom())).made, list[str]()
        for name in step.depends_on:
            shapes = outputs_of(definition.steps[definition.index[name]].task_type)
            shown = [field for field, shape in shapes.items() if shape.kind is ValueKind.PICTURE and "result" in field]
            for value in (made.get(name, {}).get(field) for field in shown):
                found += value if isinstance(value, list) else [value] if value else []
        return [path for path in found if isinstance(path, str)][:_MOST_PICTURES]


def _waits(workflow: Workflow, row: Row) -> bool:
    return not workflow.ended and row.state is StepStatus.WAITING and row.decision is None


def _expires(workflow: Workflow, step: StepDefinition, row: Row, now: int) -> int:
    """With the wait; where its clock stands, after as long a time from now as a resume will give it at least."""
    seconds = step.gate.timeout if step.gate is not None else GATE_SECONDS
    begun = row.started_at or workflow.updated_at
    if workflow.state is WorkflowStatus.PAUSED or begun + seconds * SECOND <= now:
        begun = now
    return -(-begun // SECOND) + seconds


def _used(row: Row) -> IllegalTransition:
    decision = row.decision
    if decision is None:
        said = "the step no longer waits for a decision"
    else:
        said = f"this was decided: {'approved' if decision.approved else 'rejected'} by {decision.by}"
    return IllegalTransition(said, reason="LINK_USED")
