"""What the durable kit counts of every service that stands on it."""

from __future__ import annotations

from services.telemetry.instruments import Counter, Gauge, Histogram
from services.telemetry.labels import Label

# Of aggregates, as their codecs name them, and of leaderships.
KIND, ROLE = Label("kind", room=8), Label("role", room=8)
CREATE, CHANGE = "create", "change"
OPERATION = Label("operation", (CREATE, CHANGE))
WRITES = Counter("atelier_store_writes_total", "Documents that a write made or changed.", KIND, OPERATION)
GROUP_SECONDS = Histogram(
    "atelier_store_group_seconds", "How long one write of a group of documents took.", KIND, OPERATION
)
GROUP_SIZE = Histogram(
    "atelier_store_group_size",
    "Documents in one write.",
    KIND,
    OPERATION,
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
PUBLISHED = Counter("atelier_relay_messages_published_total", "Messages that JetStream acknowledged.")
LEFT_OUT = Counter("atelier_relay_entries_left_out_total", "Outbox entries of which no message could be made.")
NOT_ACKNOWLEDGED = Counter("atelier_relay_publish_failures_total", "Groups of messages that were not acknowledged.")
SENT_AGAIN = Counter("atelier_relay_writes_sent_again_total", "Writes whose messages went out again after a reconnect.")
RELAY_WAITING = Gauge("atelier_relay_writes_waiting", "Writes whose messages have not been published yet.")
LEADING = Gauge("atelier_leader", "1 where this process leads.", ROLE)
