"""Verifies API keys with the access service and remembers the answer for a short while."""

from __future__ import annotations

import hashlib
import time

import grpc
from compute.access.v1 import access_pb2 as pb
from compute.access.v1 import access_pb2_grpc as rpc

from services.common.errors import Unauthenticated
from services.common.identity import Caller
from services.rpc.grpc_client import Credentials, call

_CAPACITY = 10_000
_LONGEST_KEY = 200
_NEVER: tuple[float, Caller | None] = (0.0, None)


class AccessClient:
    """A revoked key stops working after at most `ttl` seconds. Refusals are remembered too, so guessing stays cheap."""

    def __init__(
        self, channel: grpc.aio.Channel, credentials: Credentials, *, ttl: float = 15.0, timeout: float = 5.0
    ) -> None:
        self._stub = rpc.AccessServiceStub(channel)
        self._metadata = credentials.metadata()
        self._ttl = ttl
        self._timeout = timeout
        self._known: dict[bytes, tuple[float, Caller | None]] = {}

    async def authenticate(self, key: str) -> Caller:
        """Raises Unauthenticated for an unknown, revoked or malformed key."""
        if len(key) > _LONGEST_KEY:
            raise _unknown()
        digest = _digest(key)
        until, caller = self._known.get(digest, _NEVER)
        if time.monotonic() >= until:
            caller = await self._ask(key)
            if len(self._known) >= _CAPACITY:
                self._known.clear()
            self._known[digest] = (time.monotonic() + self._ttl, caller)
        if caller is None:
            raise _unknown()
        return caller

    def remembered(self, key: str) -> Caller | None:
        """Whose key it is, where that is known without asking; `authenticate` decides whether it is good still."""
        return self._known.get(_digest(key), _NEVER)[1]

    async def _ask(self, key: str) -> Caller | None:
        request = pb.VerifyKeyRequest(key=key)
        try:
            answer = await call(self._stub.VerifyKey, request, timeout=self._timeout, metadata=self._metadata)
        except Unauthenticated:
            return None
        return Caller(answer.api_key.tenant, frozenset(answer.api_key.scopes))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _unknown() -> Unauthenticated:
    return Unauthenticated("this API key is unknown or revoked", reason="KEY_UNKNOWN")
