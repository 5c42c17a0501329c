"""Under which name a server that speaks OpenAI's protocol takes the limit of an answer's tokens.

OpenAI itself replaced `max_tokens` by `max_completion_tokens`, which some of its models take alone; many servers know
the older name only, and refuse the other or pass over it. What a server turned out to know is remembered.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from urllib.parse import urlsplit

import orjson
import structlog

from services.common.errors import InvalidRequest, Violation
from services.providers.http import VendorResponse

log = structlog.get_logger()
NEWER, OLDER = "max_completion_tokens", "max_tokens"
# Servers, and their models, which tasks name at will.
_MOST_REMEMBERED = 256
# Said of a number that is too large, not of a name.
_OF_THE_NUMBER = re.compile(
    r"too (large|big|long|high|many)|exceed|maximum|at most|(less|greater) than|context|reduce", re.IGNORECASE
)


class LimitRefused(InvalidRequest):
    """The server does not know the limit by that name."""


class LimitNames:
    """The names to try for one model, in order. `remembered` is shared by all calls, by the server and its model."""

    def __init__(self, url: str, model: str, remembered: MutableMapping[str, tuple[str, ...]]) -> None:
        self._key, self._server = f"{url} {model}", url
        self._remembered = remembered

    @property
    def left(self) -> tuple[str, ...]:
        """A model that was never asked is taken to be like the one that was asked last."""
        known = self._remembered.get(self._key) or self._remembered.get(self._server)
        return known or ((NEWER, OLDER) if _is_openai(self._server) else (OLDER, NEWER))

    def took(self, name: str, answer: VendorResponse, limit: int) -> None:
        """An answer longer than allowed shows that the name was passed over: the other one is tried next."""
        names = (name, *(other for other in self.left if other != name))
        used = answer.member("usage", "completion_tokens")
        if isinstance(used, int) and used > limit and len(names) > 1:
            log.warning("limit of tokens passed over", server=self._server, name=name)
            names = (*names[1:], name)
        self._keep(names)

    def refused(self, name: str) -> None:
        self._keep(tuple(other for other in self.left if other != name))

    def none_taken(self, error: LimitRefused) -> InvalidRequest:
        """Names the fields; the next call tries them all again."""
        self._remembered.pop(self._key, None)
        self._remembered.pop(self._server, None)
        message = f"the server takes neither {OLDER} nor {NEWER}: {error.message}"
        violation = Violation("provider_config.max_tokens", message)
        return InvalidRequest(message, reason="LIMIT_NOT_TAKEN", violations=(violation,))

    def _keep(self, names: tuple[str, ...]) -> None:
        """The server's own last, so that it is the last to be forgotten."""
        for key in (self._key, self._server):
            self._remembered.pop(key, None)
            self._remembered[key] = names
        while len(self._remembered) > _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]


def refusal_of(name: str, answer: VendorResponse) -> LimitRefused | None:
    """What a refusal says of the limit's name, where it speaks of that."""
    if answer.status not in (400, 422):
        return None
    said = answer.text if answer.body is None else orjson.dumps(answer.body).decode()
    if not re.search(rf"\b{name}\b", said) or _OF_THE_NUMBER.search(said):
        return None
    return LimitRefused(f"the provider answered {answer.status} to {name}: {said[:300]}")


def _is_openai(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")
