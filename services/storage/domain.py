"""What an object is: where it may lie, what is known of it, which part of it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.catalog.folders import is_reserved
from services.common.errors import IllegalTransition, InvalidRequest, PreconditionFailed
from services.common.identity import check_tenant
from services.imaging.paths import clean_path

_ANY = "*"


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Where an object lies; callers know only the `path`."""

    tenant: str
    path: str

    @classmethod
    def of(cls, tenant: str, path: str) -> ObjectKey:
        """Raises InvalidRequest with reason TENANT_MISSING, TENANT_INVALID or PATH_INVALID."""
        return cls(check_tenant(tenant), clean_path(path))

    @property
    def full(self) -> str:
        return f"{self.tenant}/{self.path}"


@dataclass(frozen=True, slots=True)
class ObjectMetadata:
    """What the content itself says; `width` and `height` in pixels as displayed, 0 when it is not a picture."""

    size: int
    sha256: str
    content_type: str
    width: int = 0
    height: int = 0

    @property
    def etag(self) -> str:
        return f'"{self.sha256[:32]}"'


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of one tenant."""

    key: ObjectKey
    facts: ObjectMetadata
    created_at: datetime
    result: bool = False
    """Of a task: it stays as it was made."""


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must be true of the stored object (RFC 9110, section 13.2.2); "*" stands for any ETag."""

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    if_unmodified_since: datetime | None = None

    def check(self, stored: StoredObject | None) -> None:
        """Raises PreconditionFailed. The comparison is strong, so that a weak ETag matches nothing."""
        if self.if_match:
            if not _is_among(stored, self.if_match):
                raise PreconditionFailed("there is no object with an ETag of If-Match")
        elif (
            self.if_unmodified_since and stored and stored.created_at.replace(microsecond=0) > self.if_unmodified_since
        ):
            raise PreconditionFailed("the object has changed since If-Unmodified-Since")
        if _is_among(stored, self.if_none_match):
            raise PreconditionFailed("there is an object with an ETag of If-None-Match")


@dataclass(frozen=True, slots=True)
class WriteConditions:
    """On which terms an object is put or deleted, told by what is there in that very moment.

    `result`: it is the task's own hand, which may replace and delete results.
    """

    if_absent: bool = False
    result: bool = False
    precondition: Precondition = Precondition()

    @property
    def absent(self) -> bool:
        """Whether nothing may be there."""
        return self.if_absent or _ANY in self.precondition.if_none_match

    @property
    def none(self) -> bool:
        """Whether they are met whatever is there."""
        return self.result and not self.if_absent and self.precondition == Precondition()

    def check_place(self, key: ObjectKey) -> None:
        """Raises IllegalTransition: RESULT_IMMUTABLE where only a task's own hand puts anything."""
        if not self.result and is_reserved(key.path):
            why = "this is the place of a task's results, which go when the task goes; store it under another path"
            raise IllegalTransition(why, reason="RESULT_IMMUTABLE")

    def check(self, stored: StoredObject | None) -> None:
        """Raises PreconditionFailed; IllegalTransition: ALREADY_EXISTS, RESULT_IMMUTABLE."""
        self.precondition.check(stored)
        if stored is None:
            return
        if self.if_absent:
            raise IllegalTransition("there is an object already", reason="ALREADY_EXISTS")
        if stored.result and not self.result:
            why = "this is the result of a task and stays as it was made; delete or clean up the task to remove it"
            raise IllegalTransition(why, reason="RESULT_IMMUTABLE")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length` bytes from `offset` on."""

    offset: int
    length: int

    @classmethod
    def within(cls, size: int, *, offset: int, length: int) -> ByteRange:
        """The asked part of an object of `size` bytes; a `length` of 0, or beyond the end, means to the end.

        Raises:
            InvalidRequest: OUT_OF_RANGE when nothing of it exists.
        """
        beyond = offset >= size and not (offset == 0 and length == 0)
        if offset < 0 or length < 0 or beyond:
            raise InvalidRequest(f"the object has {size} bytes; none at {offset}+{length}", reason="OUT_OF_RANGE")
        rest = size - offset
        return cls(offset, min(length, rest) if length else rest)


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """Objects in key order, and whether more follow."""

    objects: tuple[StoredObject, ...]
    truncated: bool


def _is_among(stored: StoredObject | None, etags: tuple[str, ...]) -> bool:
    return stored is not None and (_ANY in etags or stored.facts.etag in etags)
