"""Turns notices on the bus into deliveries; a notice is acknowledged when its delivery is recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from compute.webhooks.v1 import webhooks_pb2 as pb

from services.telemetry.trace_context import current
from services.webhooks.domain import WebhookNotice
from services.webhooks.service import WebhookService


class NoticeIntake:
    def __init__(self, service: WebhookService) -> None:
        self._service = service

    async def take(self, data: bytes, before: Callable[[], Awaitable[None]]) -> bool:
        """Whether nothing is left to be done about it."""
        notice = _occasion(data)
        if not notice.silent:
            await self._service.record(notice)
        if not notice.task_deleted:
            return True
        await before()  # what came before it is to be found
        return await self._service.end_for(notice)


def _occasion(data: bytes) -> WebhookNotice:
    notice = pb.Notice.FromString(data)
    return WebhookNotice(
        tenant=notice.tenant,
        task_id=notice.task_id,
        event_id=notice.event_id,
        event_type=notice.event_type,
        url=notice.url,
        body=notice.body.decode(),
        content_type=notice.content_type or None,
        task_deleted=notice.task_deleted,
        silent=notice.silent,
        traceparent=current() or None,
    )
