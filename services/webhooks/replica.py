"""One replica of the webhooks service: how its parts are connected, and the loops that run beside the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

import structlog
from nats.aio.client import Client

from services.common.errors import Unavailable
from services.durable.intake import QueueIntake
from services.durable.leadership import Leadership
from services.durable.store import Database
from services.messaging.subjects.webhooks import WEBHOOKS_STREAM, intake_of_notices
from services.net.guarded_http import GuardedHttp, HttpLimits
from services.webhooks.domain import SECOND
from services.webhooks.http_transport import HttpDeliveryTransport
from services.webhooks.intake import NoticeIntake
from services.webhooks.ports import DeliveryClock
from services.webhooks.repository import MongoDeliveryRepository
from services.webhooks.retry_schedule import RetrySchedule
from services.webhooks.sender import Sender, SenderLimits
from services.webhooks.service import WebhookService
from services.webhooks.settings import WebhooksSettings
from services.webhooks.tenant_records import MongoEndpointRepository, MongoSecretRepository

log = structlog.get_logger()
_DAY = 86_400.0


class WebhooksReplica:
    """Every replica answers calls; the one that leads records and sends."""

    def __init__(
        self, database: Database, bus: Client, http: GuardedHttp, clock: DeliveryClock, settings: WebhooksSettings
    ) -> None:
        owner = uuid4().hex
        self.repository = MongoDeliveryRepository(database)
        endpoints, secrets = MongoEndpointRepository(database), MongoSecretRepository(database)
        self._leadership = Leadership(
            database, "webhooks", owner, self._begin, patience=settings.webhook_leader_timeout_seconds
        )
        self.sender = Sender(
            self.repository,
            endpoints,
            HttpDeliveryTransport(http, secrets, clock),
            clock,
            lambda: self._leadership.held,
            owner=owner,
            schedule=RetrySchedule(settings.webhook_steps_seconds),
            limits=_limits(settings),
        )
        self.service = WebhookService(
            self.repository,
            endpoints,
            secrets,
            clock,
            overlap=int(settings.webhook_rotation_hours * 3_600) * SECOND,
            keep=int(settings.webhook_keep_dead_days * _DAY) * SECOND,
            on_due=self.sender.offer,
        )
        self._intake = QueueIntake(
            bus,
            WEBHOOKS_STREAM,
            intake_of_notices(ack_seconds=settings.webhook_ack_seconds),
            NoticeIntake(self.service).take,
            lambda: self._leadership.held,
        )

    async def prepare(self) -> None:
        """Before the first call is taken."""
        await self.repository.prepare()

    def loops(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {"leadership": self._leadership.run, "intake": self._intake.run, "sender": self.sender.run}

    async def close(self) -> None:
        """After the loops have ended. Others may lead at once; what could not be ended here they send again."""
        try:
            await self._intake.close(2.0)
            await self.sender.close(5.0)
            await self.repository.drain()
            await self._leadership.release()
        except Unavailable as error:
            log.warning("left to the next replica", reason=error.reason)

    async def _begin(self) -> None:
        self.sender.wake()


def http_limits(settings: WebhooksSettings) -> HttpLimits:
    seconds = settings.webhook_timeout_seconds
    return HttpLimits(
        ports=settings.webhook_ports,
        allowed_private=settings.webhook_allow_private,
        loopback=settings.webhook_allow_loopback,
        redirects=0,
        read_seconds=seconds,
        total_seconds=seconds,
    )


def _limits(settings: WebhooksSettings) -> SenderLimits:
    return SenderLimits(
        patience=settings.webhook_timeout_seconds + 2 * settings.webhook_margin_seconds,
        margin=settings.webhook_margin_seconds,
        everywhere=settings.webhook_concurrency,
        per_host=settings.webhook_host_concurrency,
        keep=settings.webhook_keep_days * _DAY,
        keep_dead=settings.webhook_keep_dead_days * _DAY,
    )
