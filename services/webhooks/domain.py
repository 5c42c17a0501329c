"""A delivery and its states; an endpoint, and the secrets that sign."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import urlsplit

from services.common.errors import IllegalTransition

SECOND = 1_000_000
MAX_HISTORY = 20
_SECRET_BYTES = 32


class DeliveryState(StrEnum):
    PENDING = "PENDING"
    SENDING = "SENDING"
    DELIVERED = "DELIVERED"
    SKIPPED = "SKIPPED"
    DEAD = "DEAD"

    @property
    def over(self) -> bool:
        return self in (DeliveryState.DELIVERED, DeliveryState.SKIPPED, DeliveryState.DEAD)


@dataclass(frozen=True, slots=True)
class WebhookNotice:
    """An event that a webhook asked for; `body` is its CloudEvent. `silent`: none did, its task is gone."""

    tenant: str
    task_id: str
    event_id: str
    event_type: str
    url: str
    body: str = field(repr=False)
    content_type: str | None = None
    task_deleted: bool = False
    silent: bool = False
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """`at` in microseconds, `duration` in seconds; `status` 0 where nobody answered, `error` "" where all was well."""

    at: int
    duration: float
    status: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one address. Times are microseconds since the epoch.

    `due` is when something must be done with it next: an attempt, a look after whoever was sending it, or, once it is
    over, its removal. `attempts` counts since it was made or last replayed.
    """

    id: str
    tenant: str
    task_id: str
    event_id: str
    event_type: str
    url: str
    body: str = field(repr=False)
    created_at: int
    due: int
    version: int = 1
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    owner: str | None = None
    reason: str | None = None
    history: tuple[DeliveryAttempt, ...] = ()
    content_type: str | None = None
    task_deleted: bool = False
    silent: bool = False
    traceparent: str | None = None

    @property
    def listing(self) -> str:
        """What a tenant's deliveries are listed by."""
        return f"{self.tenant}/{self.created_at:020d}"

    @property
    def host(self) -> str:
        return host_of(self.url)

    @property
    def endpoint(self) -> str:
        return endpoint_id(self.tenant, self.url)

    def claimed(self, owner: str, *, until: int) -> Delivery:
        """Begins an attempt, of which nobody need look after before `until`."""
        self._require(DeliveryState.PENDING, DeliveryState.SENDING)
        return self._moved(DeliveryState.SENDING, until, owner=owner, attempts=self.attempts + 1)

    def delivered(self, attempt: DeliveryAttempt, *, until: int) -> Delivery:
        """Kept `until` then."""
        self._require(DeliveryState.SENDING)
        return self._moved(DeliveryState.DELIVERED, until, history=self._with(attempt), reason=None)

    def failed(self, attempt: DeliveryAttempt, *, again: int) -> Delivery:
        """To be tried `again` then."""
        self._require(DeliveryState.SENDING)
        return self._moved(DeliveryState.PENDING, again, history=self._with(attempt), reason=attempt.error)

    def given_up(self, attempt: DeliveryAttempt, *, until: int) -> Delivery:
        """A dead letter, kept `until` then."""
        self._require(DeliveryState.SENDING)
        return self._moved(DeliveryState.DEAD, until, history=self._with(attempt), reason=attempt.error)

    def skipped(self, reason: str, attempt: DeliveryAttempt | None = None, *, until: int) -> Delivery:
        self._require(DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.DEAD)
        history = self.history if attempt is None else self._with(attempt)
        return self._moved(DeliveryState.SKIPPED, until, history=history, reason=reason)

    def orphaned(self, *, until: int) -> Delivery:
        """Its task was deleted: what is not delivered is skipped, and nothing is called for it again."""
        self._require(*(state for state in DeliveryState if state is not DeliveryState.SENDING))
        waits = self.state in (DeliveryState.PENDING, DeliveryState.DEAD)
        ended = self.skipped("the task was deleted", until=until) if waits else self
        return replace(ended, version=self.version + 1, task_deleted=True)

    def replayed(self, now: int) -> Delivery:
        """From the first step again. Raises IllegalTransition while it is being sent, and once its task was deleted."""
        if self.task_deleted:
            why = f"the task of delivery {self.id} was deleted: nothing more is called for it"
            raise IllegalTransition(why, reason="TASK_DELETED")
        if self.state is DeliveryState.SENDING:
            raise IllegalTransition(f"delivery {self.id} is being sent", reason="DELIVERY_SENDING")
        return self._moved(DeliveryState.PENDING, now, attempts=0, reason=None)

    def _with(self, attempt: DeliveryAttempt) -> tuple[DeliveryAttempt, ...]:
        return (*self.history, attempt)[-MAX_HISTORY:]

    def _require(self, *states: DeliveryState) -> None:
        if self.state not in states:
            raise IllegalTransition(f"delivery {self.id} is {self.state}", reason="DELIVERY_STATE")

    def _moved(
        self,
        state: DeliveryState,
        due: int,
        *,
        attempts: int | None = None,
        owner: str | None = None,
        reason: str | None = None,
        history: tuple[DeliveryAttempt, ...] | None = None,
    ) -> Delivery:
        return replace(
            self,
            version=self.version + 1,
            state=state,
            due=due,
            owner=owner,
            reason=reason,
            attempts=self.attempts if attempts is None else attempts,
            history=self.history if history is None else history,
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that answered 410 Gone."""

    id: str
    tenant: str
    url: str
    disabled_at: int
    reason: str


@dataclass(frozen=True, slots=True)
class SecretPair:
    """What signs a tenant's deliveries: whsec_<base64>; the previous one signs too until then (microseconds)."""

    tenant: str
    current: str = field(repr=False)
    version: int = 1
    previous: str | None = field(default=None, repr=False)
    previous_until: int = 0

    def rotated(self, now: int, *, overlap: int) -> SecretPair:
        return SecretPair(self.tenant, new_secret(), self.version + 1, self.current, now + overlap)

    def valid(self, now: int) -> tuple[str, ...]:
        """The newest first."""
        if self.previous is not None and now < self.previous_until:
            return (self.current, self.previous)
        return (self.current,)


def new_delivery(notice: WebhookNotice, now: int) -> Delivery:
    """Due at once. The same event for the same address is the same delivery, whenever it is made."""
    return Delivery(
        id=delivery_id(notice),
        tenant=notice.tenant,
        task_id=notice.task_id,
        event_id=notice.event_id,
        event_type=notice.event_type,
        url=notice.url,
        body=notice.body,
        content_type=notice.content_type,
        traceparent=notice.traceparent,
        created_at=now,
        due=now,
    )


def delivery_id(notice: WebhookNotice) -> str:
    """Without full stops, which part the fields of what is signed."""
    return f"{notice.event_id.replace('.', '_')}_{endpoint_id(notice.tenant, notice.url)}"


def endpoint_id(tenant: str, url: str) -> str:
    return hashlib.sha256(f"{tenant}\n{url}".encode()).hexdigest()[:16]


def host_of(url: str) -> str:
    """host:port as written, to count what goes there at the same time."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return url


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
