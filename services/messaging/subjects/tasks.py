"""What the tasks service says: events, orders to workers, and hints to gateways and other replicas."""

from __future__ import annotations

from nats.js.api import StorageType, StreamConfig

from services.messaging.streams import declared

EVENTS = "EVENTS"
CHANGES_SUBJECT, CANCEL_SUBJECT, HEARTBEATS_SUBJECT = "changes.v1", "control.v1.cancel", "heartbeats.v1"
# The server remembers every stored event's subject, whose task nobody else has: their number bounds its memory.
EVENTS_KEPT = 100_000
# Three times what NATS or the relay may take to be back. It remembers every id for as long.
REPETITION_SECONDS = 30
EVENTS_STREAM = declared(
    StreamConfig(
        name=EVENTS,
        subjects=["evt.v1.>"],
        storage=StorageType.FILE,
        max_age=7 * 24 * 3600,
        max_msgs=EVENTS_KEPT,
        max_bytes=2 << 30,
        duplicate_window=REPETITION_SECONDS,
    ),
    revision=2,
)


def orphans_subject(queue: str) -> str:
    """Where one worker of the queue is asked to end what a task left open at vendors."""
    return f"orphans.v1.{queue}"
