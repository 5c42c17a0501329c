"""Tenants' accounts on NATS: made known to the server, and kept known to it, with what was revoked of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

import nats.errors
import structlog
from nats.aio.client import Client

from services.access.domain import ApiKey
from services.access.nats_accounts import SYSTEM_SUBJECT, NatsAccounts
from services.access.ports import KeyRepository
from services.common.errors import Unavailable
from services.messaging.tenant_events import ensure_durable

log = structlog.get_logger()
_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_MICROSECONDS = 1_000_000
_UNREACHABLE = "BUS_UNREACHABLE"


class TenantAccounts:
    """`system` is a connection that may change accounts, `services` one that may make consumers."""

    def __init__(self, accounts: NatsAccounts, keys: KeyRepository, system: Client, services: Client) -> None:
        self._accounts = accounts
        self._keys = keys
        self._system = system
        self._services = services
        self._stale: set[str] = set()

    def issue(self, tenant: str, key_id: str) -> tuple[str, str]:
        return self._accounts.reader(tenant, key_id)

    async def renew(self, tenant: str) -> None:
        """Raises Unavailable; it is tried again until the server knows."""
        self._stale.add(tenant)
        try:
            await self._tell(tenant)
            await ensure_durable(self._services, tenant)
        except nats.errors.Error as error:
            raise Unavailable(
                "NATS does not answer; it is told as soon as it does", reason=_UNREACHABLE, retry_after=1.0
            ) from error
        self._stale.discard(tenant)

    async def run(self) -> None:
        """Until cancelled: a server that comes back may have lost the accounts, or the consumers."""
        told = -1
        while True:
            seen = self._system.stats["reconnects"] + self._services.stats["reconnects"]
            if seen != told:
                self._stale |= {key.tenant for key in await self._keys.readers("")}
            await self._renew_stale()
            told = seen
            await asyncio.sleep(_LOOK_SECONDS)

    async def _renew_stale(self) -> None:
        """One that the server refuses keeps nobody else's from it."""
        for tenant in sorted(self._stale):
            try:
                await self.renew(tenant)
            except Unavailable as error:
                log.warning("account not told", tenant=tenant, reason=error.reason)
                if error.reason == _UNREACHABLE:
                    return

    async def _tell(self, tenant: str) -> None:
        """Until what was told is what is stored: another replica may have told something older in between."""
        revoked = _revoked(await self._keys.readers(tenant))
        while True:
            await self._push(self._accounts.tenant_account(tenant, revoked))
            now = _revoked(await self._keys.readers(tenant))
            if now == revoked:
                return
            revoked = now

    async def _push(self, account: str) -> None:
        answer = await self._system.request(SYSTEM_SUBJECT, account.encode(), timeout=_SECONDS)
        if refusal := json.loads(answer.data).get("error"):
            log.error("account refused", refusal=str(refusal)[:200])
            raise Unavailable("NATS takes no account from us", reason="BUS_REFUSED", retry_after=5.0)


def _revoked(keys: Iterable[ApiKey]) -> dict[str, int]:
    """The public keys that are, with the second before which whatever they signed no longer counts."""
    return {key.digest: key.revoked_at // _MICROSECONDS + 1 for key in keys if key.revoked_at is not None}
