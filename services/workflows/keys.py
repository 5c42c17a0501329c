"""What follows from an Idempotency-Key: the ids of what is made under it, and what tells one request from another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid5

import orjson

from services.catalog.free_json import canonical
from services.common.errors import check_field
from services.workflows.ports import StoredDefinition

_CREATED = UUID("0b8c7f3e-5d0a-5b52-8f7e-3f6d2a9c4e17")
_FORKS = UUID("2f7a0c86-4f0e-5f41-9a75-6b1f0c5b9d11")
_LENGTH = 255
_VERSION = "1:"


def checked(key: str) -> str:
    check_field("idempotency_key", len(key) <= _LENGTH, f"must have at most {_LENGTH} characters")
    return key


def workflow_id(tenant: str, key: str) -> str:
    return str(uuid5(_CREATED, f"{len(tenant)}:{tenant}:{key}"))


def fork_id(tenant: str, forked: str, key: str) -> str:
    """Of each workflow one fork under a key, whether it is forked alone or among many."""
    return str(uuid5(_FORKS, "\0".join((tenant, forked, key))))


def fork_group(tenant: str, key: str) -> str:
    """What all the forks under a key have in common."""
    return str(uuid5(_FORKS, f"{len(tenant)}:{tenant}:{key}"))


def of_creation(stored: StoredDefinition, fields: Mapping[str, Any], *, start: bool) -> str:
    """As it was asked for: before seeds are drawn, and without what is expected of its steps."""
    return _hashed([asdict(stored.definition), stored.suppress_subtask_events, {**fields}, start])


def of_fork(from_step: str, given: Mapping[str, Any], name: str | None, *, failed_slots_only: bool) -> str:
    return _hashed([from_step, {**given}, name, failed_slots_only])


def _hashed(meaning: list[Any]) -> str:
    """It begins with the version of its rule."""
    plain = orjson.loads(orjson.dumps(meaning))
    return _VERSION + hashlib.sha256(canonical(plain)).hexdigest()
