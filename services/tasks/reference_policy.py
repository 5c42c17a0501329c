"""Which addresses and local files a new task may name in this deployment."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from services.catalog.base import CommonFields, TaskKind, TaskParams
from services.catalog.images import LocalAllowed
from services.common.errors import InvalidRequest, Violation
from services.imaging.local_files import check_below
from services.net.addresses import AddressPolicy, parse_target


@dataclass(frozen=True, slots=True)
class ReferencePolicy:
    """`webhooks` is the same rule that is applied before each call; `local_roots` are those of the workers."""

    webhooks: AddressPolicy = field(default_factory=AddressPolicy)
    local_roots: tuple[Path, ...] = ()

    def check(self, kind: TaskKind, common: CommonFields, params: TaskParams) -> None:
        """Raises InvalidRequest: URL_NOT_ALLOWED, with a violation for each field."""
        wrong = [] if common.webhook_url is None else self._webhook(common.webhook_url)
        for name in _local_fields(kind.params):
            wrong += self._local(f"spec.params.{kind.field}.{name}", getattr(params, name))
        if wrong:
            said = "; ".join(f"{item.field} {item.description}" for item in wrong)
            raise InvalidRequest(said, reason="URL_NOT_ALLOWED", violations=tuple(wrong))

    def _webhook(self, url: str) -> list[Violation]:
        try:
            self.webhooks.check(parse_target(url))
        except InvalidRequest as error:
            return [Violation("spec.webhook_url", f"may not be called: {error.message}")]
        return []

    def _local(self, field: str, value: object) -> list[Violation]:
        if not isinstance(value, str) or not value.startswith("file:"):
            return []
        try:
            check_below(value, self.local_roots)
        except InvalidRequest as error:
            return [Violation(field, f"may not be read: {error.message}")]
        return []


@cache
def _local_fields(params: type[TaskParams]) -> tuple[str, ...]:
    fields = params.model_fields.items()
    return tuple(name for name, info in fields if any(isinstance(mark, LocalAllowed) for mark in info.metadata))
