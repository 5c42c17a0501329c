"""What a tenant hears on NATS: its subjects and its consumer, in the services' account and in its own."""

from __future__ import annotations

import structlog
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from services.common.identity import check_tenant
from services.messaging.streams import ensure_streams
from services.messaging.subjects.tasks import EVENTS, EVENTS_STREAM
from services.messaging.subjects.workers import inference_subject

log = structlog.get_logger()
# What clients call the JetStream domain. The plain prefix is answered by the server itself in every account.
DOMAIN = "atelier"
_ACK_SECONDS = 30.0
_ACKS_PENDING = 1_000
_VERBS = ("INFO", "MSG.NEXT")


def durable_of(tenant: str) -> str:
    """Raises InvalidRequest for what would be more than one token of a subject."""
    return f"tenant-{check_tenant(tenant)}"


def stored_subject(tenant: str) -> str:
    """Raises InvalidRequest."""
    return f"evt.v1.{check_tenant(tenant)}.>"


def heard_subjects(tenant: str) -> list[str]:
    """Those of core NATS. Raises InvalidRequest."""
    return [stored_subject(tenant), inference_subject(check_tenant(tenant), "*")]


def asked_subjects(tenant: str) -> dict[str, str]:
    """What the durable is asked for and told by, as the stream's account has it and as the tenant's has it."""
    place = f"{EVENTS}.{durable_of(tenant)}"
    calls = {f"$JS.API.CONSUMER.{verb}.{place}": f"$JS.{DOMAIN}.API.CONSUMER.{verb}.{place}" for verb in _VERBS}
    return {**calls, f"$JS.ACK.{place}.>": f"$JS.ACK.{place}.>"}


async def ensure_durable(client: Client, tenant: str) -> None:
    """Makes the tenant's consumer, from the oldest event that is kept; one that is there stays as it is."""
    await ensure_streams(client, EVENTS_STREAM)
    manager, durable = client.jsm(), durable_of(tenant)
    try:
        await manager.consumer_info(EVENTS, durable)
    except NotFoundError:
        config = ConsumerConfig(
            durable_name=durable,
            filter_subject=stored_subject(tenant),
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_SECONDS,
            max_deliver=-1,
            max_ack_pending=_ACKS_PENDING,
        )
        await manager.add_consumer(EVENTS, config)
        log.info("consumer made", consumer=durable)
