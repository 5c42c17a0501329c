"""What the webhooks service counts of its calls."""

from __future__ import annotations

from services.telemetry.instruments import Counter, Gauge, Histogram
from services.telemetry.labels import Label
from services.webhooks.domain import Delivery, DeliveryAttempt, DeliveryState

# As a delivery stands after the call: PENDING will be tried again.
STATE = Label("state", (state.value for state in DeliveryState))
CALLS = Counter("atelier_webhook_calls_total", "Calls that were made, by what their delivery is after them.", STATE)
SECONDS = Histogram("atelier_webhook_call_seconds", "How long receivers took.")
UNDER_WAY = Gauge("atelier_webhook_calls_under_way", "Calls under way.")


def count_call(after: Delivery, attempt: DeliveryAttempt) -> None:
    CALLS.count(after.state.value)
    SECONDS.observe(attempt.duration)
