"""Who there is on NATS and what each may say and hear: one account for the services, one for each tenant.

Accounts keep what permissions cannot: JetStream sends its answer to whatever reply subject it is given, so whoever may
ask it anything in the services' account could make it speak to a worker, write into a stream or delete one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.access.claims import Key, Kind, credentials_file
from services.messaging.tenant_events import asked_subjects, durable_of, heard_subjects

SYSTEM_SUBJECT = "$SYS.REQ.CLAIMS.UPDATE"
_INBOXES = "_INBOX.>"
_BOUNDLESS = {"subs": -1, "data": -1, "payload": -1}
_ACCOUNT = {**_BOUNDLESS, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
_STREAMS = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
# A tenant pulls and acknowledges: small messages, few connections.
_TENANT = {"payload": 65_536, "subs": 1_000, "conn": 100, "exports": 0, "leaf": 0}


class NatsAccounts:
    """Everything follows from the operator's key: two replicas of a service, and tomorrow's, say the same."""

    def __init__(self, operator: Key) -> None:
        self._operator = operator
        self._system = operator.derive("system", Kind.ACCOUNT)
        self._services = operator.derive("services", Kind.ACCOUNT)

    @property
    def services(self) -> str:
        """The id of the services' account, below which the server stores their streams."""
        return self._services.public

    def server_settings(self) -> str:
        """What a NATS server has to be told; nothing of it is secret."""
        operator = self._operator.sign(
            self._operator.public, "atelier", {"type": "operator", "version": 2, "system_account": self._system.public}
        )
        system = self._account(self._system, "system")
        preloaded = {self._system.public: system, self.services: self.services_account()}
        accounts = "\n".join(f"  {name}: {token}" for name, token in preloaded.items())
        return (
            f"# services' account: {self.services}\noperator: {operator}\n"
            f"system_account: {self._system.public}\nresolver_preload: {{\n{accounts}\n}}\n"
        )

    def services_account(self) -> str:
        """Its claims: all of JetStream, and what tenants' accounts may take from it."""
        return self._account(self._services, "services", limits=_STREAMS, exports=_exports())

    def tenant_account(self, tenant: str, revoked: Mapping[str, int]) -> str:
        """Its claims; `revoked` are public keys with the second from which on they are. Raises InvalidRequest."""
        claims: dict[str, Any] = {"limits": _TENANT, "imports": _imports(tenant, self.services)}
        if revoked:
            claims["revocations"] = dict(revoked)
        return self._account(self._tenant(tenant), f"tenant {tenant}", **claims)

    def services_credentials(self) -> str:
        return self._credentials(self._services, self._services.derive("user", Kind.USER), "services")

    def system_credentials(self) -> str:
        """Those with which accounts are made known."""
        user = self._system.derive("user", Kind.USER)
        return self._credentials(self._system, user, "access", publish=[SYSTEM_SUBJECT], subscribe=[_INBOXES])

    def reader(self, tenant: str, name: str) -> tuple[str, str]:
        """A new user of the tenant's: its public key, and its credentials. Raises InvalidRequest."""
        user = Key.new(Kind.USER)
        heard, asked = heard_subjects(tenant), list(asked_subjects(tenant).values())
        account = self._tenant(tenant)
        return user.public, self._credentials(account, user, name, publish=asked, subscribe=[*heard, _INBOXES])

    def _tenant(self, tenant: str) -> Key:
        return self._operator.derive(f"tenant {durable_of(tenant)}", Kind.ACCOUNT)

    def _account(self, account: Key, name: str, *, limits: Mapping[str, Any] | None = None, **claims: Any) -> str:
        bounds = {**_ACCOUNT, **(limits or {})}
        return self._operator.sign(account.public, name, {"type": "account", "version": 2, "limits": bounds, **claims})

    def _credentials(
        self, account: Key, user: Key, name: str, *, publish: Sequence[str] = (), subscribe: Sequence[str] = ()
    ) -> str:
        """Without subjects the user may everything in its account."""
        allowed = {"pub": {"allow": [*publish]}, "sub": {"allow": [*subscribe]}} if publish else {"pub": {}, "sub": {}}
        claims = {"type": "user", "version": 2, **_BOUNDLESS, **allowed}
        return credentials_file(account.sign(user.public, name, claims), user)


def _exports() -> list[dict[str, Any]]:
    """As `_imports` takes them, for any tenant: only the operator signs accounts, so none needs to be private."""
    streams = [
        {"name": subject, "subject": subject, "type": "stream"} for subject in ("evt.v1.*.>", "inference.v1.*.*")
    ]
    calls = [
        {"name": subject, "subject": subject, "type": "service", "response_type": kind}
        for subject, kind in (
            ("$JS.API.CONSUMER.INFO.EVENTS.*", "Singleton"),
            ("$JS.API.CONSUMER.MSG.NEXT.EVENTS.*", "Stream"),
            ("$JS.ACK.EVENTS.*.>", "Singleton"),
        )
    ]
    return streams + calls


def _imports(tenant: str, services: str) -> list[dict[str, Any]]:
    streams = [
        {"name": subject, "subject": subject, "account": services, "type": "stream"}
        for subject in heard_subjects(tenant)
    ]
    calls = [
        {"name": subject, "subject": subject, "account": services, "local_subject": here, "type": "service"}
        for subject, here in asked_subjects(tenant).items()
    ]
    return streams + calls
