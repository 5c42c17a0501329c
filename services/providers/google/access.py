"""The headers that let a request in: an API key, or a token that is renewed before it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from services.common.errors import ProviderRefused
from services.providers.google.settings import GoogleSettings
from services.providers.http import VendorHttp

# Seconds before its end at which a token is no longer used.
_MARGIN = 120.0


class GoogleCredentials(Protocol):
    async def headers(self) -> Mapping[str, str]:
        """Raises ComputeError."""
        ...

    def renew(self) -> bool:
        """Whether `headers` may do better after a refusal."""
        ...


class FixedCredentials:
    """A key, or a token somebody else keeps fresh."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def headers(self) -> Mapping[str, str]:
        return self._headers

    def renew(self) -> bool:
        return False


class MachineCredentials:
    """The token of the machine's service account, from the metadata server of Google's cloud.

    Protocol: docs.cloud.google.com/compute/docs/access/authenticate-workloads.
    """

    def __init__(self, http: VendorHttp, url: str, quota: Mapping[str, str]) -> None:
        self._http = http
        self._url = url
        self._quota = quota
        self._token = ""
        self._ends = 0.0
        self._lock = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        async with self._lock:
            if time.monotonic() > self._ends - _MARGIN:
                await self._fetch()
        return {"authorization": f"Bearer {self._token}", **self._quota}

    def renew(self) -> bool:
        self._ends = 0.0
        return True

    async def _fetch(self) -> None:
        answer = await self._http.ask(self._url, headers={"metadata-flavor": "Google"}, seconds=10.0, patience=10.0)
        token, seconds = answer.member("access_token"), answer.member("expires_in")
        if not isinstance(token, str) or not isinstance(seconds, int | float):
            raise ProviderRefused("the metadata server gave no token", reason="PROVIDER_NOT_CONFIGURED")
        self._token, self._ends = token, time.monotonic() + seconds


def access(settings: GoogleSettings, http: VendorHttp) -> GoogleCredentials:
    if not settings.project:
        return FixedCredentials({"x-goog-api-key": settings.secret})
    # A key belongs to a project; a token does not say whose quota it uses up.
    quota = {"x-goog-user-project": settings.user_project} if settings.user_project else {}
    if settings.token:
        return FixedCredentials({"authorization": f"Bearer {settings.token}", **quota})
    return MachineCredentials(http, settings.token_url, quota)
