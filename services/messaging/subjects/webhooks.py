"""What the webhooks service is told: notices, each of an event that somebody asked to be called for."""

from __future__ import annotations

from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

from services.messaging.streams import declared
from services.messaging.subjects.tasks import REPETITION_SECONDS

WEBHOOKS = "WEBHOOKS"
# Only until a delivery is recorded.
WEBHOOKS_STREAM = declared(
    StreamConfig(
        name=WEBHOOKS,
        subjects=["webhooks.v1.*"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
        max_age=7 * 24 * 3600,
        max_bytes=1 << 30,
        duplicate_window=REPETITION_SECONDS,
    ),
    revision=2,
)


def webhook_subject(tenant: str) -> str:
    return f"webhooks.v1.{tenant}"


def intake_of_notices(*, ack_seconds: float) -> ConsumerConfig:
    """Who takes every tenant's notices."""
    return ConsumerConfig(
        durable_name="webhooks",
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_seconds,
        max_deliver=-1,
        max_ack_pending=5_000,
    )
