"""What a fork is asked to be."""

from __future__ import annotations

from dataclasses import replace

from compute.tasks.v1.tasks_pb2 import TaskSpec
from compute.workflows.v1 import workflows_pb2 as pb
from pydantic import ValidationError

from services.common.errors import check_field
from services.translation.workflows import given_of
from services.workflows.calls import CHANGEABLE, inputs_of, invalid
from services.workflows.definition import Definition
from services.workflows.keys import checked, of_fork
from services.workflows.service import Fork
from services.workflows.validation import check_definition


def read_fork(request: pb.ForkWorkflowRequest) -> Fork:
    """Raises InvalidRequest."""
    name = None
    if request.HasField("name"):
        try:
            name = CHANGEABLE["name"].validate_python(request.name)
        except ValidationError as error:
            raise invalid(error, "name") from error

    def change(definition: Definition, place: int) -> Definition:
        return _changed(definition, place, request.changes)

    slots_only, given = request.failed_slots_only, given_of(pb.StepDefinition(spec=request.changes))
    return Fork(
        request.from_step,
        change,
        name,
        inputs_of(request),
        failed_slots_only=slots_only,
        key=checked(request.idempotency_key),
        fingerprint=of_fork(request.from_step, given, name, failed_slots_only=slots_only),
    )


def _changed(definition: Definition, place: int, changes: TaskSpec) -> Definition:
    """With one step's parameters changed. Raises InvalidRequest: WORKFLOW_INVALID."""
    step = definition.steps[place]
    given = given_of(pb.StepDefinition(spec=changes))
    kind = (changes.params.WhichOneof("params") or step.task_type).upper()
    check_field("changes", kind == step.task_type, f"must be of the step's type, which is {step.task_type}")
    steps = list(definition.steps)
    steps[place] = replace(step, given={**step.given, **given})
    made = Definition(tuple(steps), definition.config)
    check_definition(made)
    return made
