"""Settings of the tasks service."""

from __future__ import annotations

from services.common.settings import ServiceSettings


class TasksSettings(ServiceSettings):
    """Seconds, where not said otherwise."""

    task_attempts: int = 3
    retry_first_seconds: float = 1.0
    retry_longest_seconds: float = 60.0
    lease_seconds: float = 10.0
    claim_seconds: float = 5.0
    leader_patience_seconds: float = 3.0
    # Longer than NATS's sync_interval: after that an acknowledged event is on its disk.
    event_hold_seconds: float = 3.0
    # How long a worker that lost its run may still store something of it.
    removal_grace_seconds: float = 180.0
    removal_patience_seconds: float = 5.0
    # What ended tasks left open at vendors: how long their last worker is left alone with it, the first pause between
    # two tries, and when it is given up.
    loose_grace_seconds: float = 30.0
    loose_retry_seconds: float = 60.0
    loose_give_up_seconds: float = 24 * 3600.0
