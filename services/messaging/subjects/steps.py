"""What those are told whose steps are tasks: that one of them has ended."""

from __future__ import annotations

from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

from services.messaging.streams import declared
from services.messaging.subjects.tasks import REPETITION_SECONDS

STEPS = "STEPS"
STEP_PREFIX = "step.v1."
# Only until the parent has looked.
STEPS_STREAM = declared(
    StreamConfig(
        name=STEPS,
        subjects=[f"{STEP_PREFIX}*.*"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
        max_age=7 * 24 * 3600,
        max_bytes=256 << 20,
        duplicate_window=REPETITION_SECONDS,
    ),
    revision=1,
)


def step_hint_subject(kind: str) -> str:
    """On core NATS, where a parent hears of an end before the relay has published it."""
    return f"step-hints.v1.{kind}"


def step_subject(kind: str, tenant: str) -> str:
    """Of a step of a parent of that kind."""
    return f"{STEP_PREFIX}{kind}.{tenant}"


def intake_of_steps(kind: str, *, ack_seconds: float) -> ConsumerConfig:
    """Who takes the notices of one kind, of every tenant; a work queue allows one consumer for each."""
    return ConsumerConfig(
        durable_name=f"steps-{kind}",
        filter_subject=step_subject(kind, "*"),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_seconds,
        max_deliver=-1,
        max_ack_pending=5_000,
    )
