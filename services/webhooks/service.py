"""Use cases of the webhooks service. No transport, no storage, no broker."""

from __future__ import annotations

from collections.abc import Callable

from services.common.errors import IllegalTransition, NotFound, Overloaded
from services.common.paging import ListPage, ListWindow
from services.webhooks.domain import (
    SECOND,
    Delivery,
    DeliveryState,
    SecretPair,
    WebhookNotice,
    endpoint_id,
    new_delivery,
)
from services.webhooks.ports import (
    DeliveryClock,
    DeliveryQuery,
    DeliveryRepository,
    EndpointRepository,
    SecretRepository,
)

_CONTENTION_LIMIT = 8
_OF_ONE_TASK = 1_000
_KEEP = 30 * 86_400 * SECOND


class WebhookService:
    def __init__(
        self,
        deliveries: DeliveryRepository,
        endpoints: EndpointRepository,
        secrets: SecretRepository,
        clock: DeliveryClock,
        *,
        overlap: int,
        keep: int = _KEEP,
        on_due: Callable[[Delivery], None],
    ) -> None:
        """`overlap` is how long a former secret signs too, `keep` how long what is ended here stays, in microseconds.

        `on_due` hears of what is to be sent.
        """
        self._deliveries = deliveries
        self._endpoints = endpoints
        self._secrets = secrets
        self._clock = clock
        self._overlap = overlap
        self._keep = keep
        self._on_due = on_due

    async def record(self, notice: WebhookNotice) -> bool:
        """Once this answers, the delivery outlives us. False when it was recorded before."""
        delivery = new_delivery(notice, self._clock.now())
        if (await self._deliveries.add(delivery)).existing:
            return False
        self._on_due(delivery)
        return True

    async def end_for(self, notice: WebhookNotice) -> bool:
        """The task was deleted: what is not delivered is skipped, and nothing called again, but for this very event.

        False while some is being sent.
        """
        wanted, all_over = DeliveryQuery(notice.tenant, task_id=notice.task_id), True
        for delivery in (await self._deliveries.find(wanted, ListWindow(_OF_ONE_TASK))).items:
            if delivery.task_deleted or delivery.event_id == notice.event_id:
                continue
            if delivery.state is DeliveryState.SENDING:
                all_over = False
                continue
            ended = delivery.orphaned(until=self._clock.now() + self._keep)
            all_over = await self._deliveries.save(ended) and all_over
        return all_over

    async def find(self, wanted: DeliveryQuery, window: ListWindow) -> ListPage[Delivery]:
        return await self._deliveries.find(wanted, window)

    async def replay(self, tenant: str | None, delivery_id: str) -> Delivery:
        """Raises NotFound, also for another tenant's; IllegalTransition: DELIVERY_SENDING, TASK_DELETED."""
        for _ in range(_CONTENTION_LIMIT):
            delivery = await self._deliveries.get(delivery_id)
            if tenant is not None and delivery.tenant != tenant:
                raise NotFound(f"delivery {delivery_id} does not exist", reason="DELIVERY_NOT_FOUND")
            replayed = delivery.replayed(self._clock.now())
            if await self._deliveries.save(replayed):
                self._on_due(replayed)
                return replayed
        raise Overloaded(f"delivery {delivery_id} changes too fast", reason="CONTENTION", retry_after=0.1)

    async def secrets(self, tenant: str) -> SecretPair:
        return await self._secrets.get(tenant)

    async def rotate(self, tenant: str) -> SecretPair:
        """The oldest of three goes at once: rotating twice takes a secret that leaked out of use.

        Raises IllegalTransition when somebody else rotates at the same moment.
        """
        pair = await self._secrets.get(tenant)
        rotated = pair.rotated(self._clock.now(), overlap=self._overlap)
        if not await self._secrets.save(rotated):
            raise IllegalTransition("somebody else has just rotated", reason="SECRET_ROTATED")
        return rotated

    async def enable(self, tenant: str, url: str) -> None:
        """Raises NotFound where the address is not disabled."""
        if not await self._endpoints.remove(endpoint_id(tenant, url)):
            raise NotFound("this address is not disabled", reason="ENDPOINT_NOT_DISABLED")
