"""What makes two steps the same: all that their results follow from, by content and not by name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from services.catalog.base import CommonFields
from services.catalog.enums import ProviderType
from services.catalog.free_json import canonical
from services.catalog.partial import BESIDE_CONFIG
from services.catalog.tasks import TYPES
from services.workflows.pictures import picture_fields

# Of this rule: another one makes other keys.
_RULE = 1
_WEIGHTS = "_model_path"
# Which workflow it is a step of says nothing of the result.
_NOT_PARAMETERS = frozenset({"workflow_id"})


class ResultContext(NamedTuple):
    """What a result follows from beside its task. `models` are what each serves, its name and hash; `weights` the
    hashes of LoRAs by the paths that the task names, `pictures` those of pictures.
    """

    tenant: str
    software: str
    provider: str
    models: Sequence[tuple[str, str, str]]
    weights: Mapping[str, str]
    pictures: Mapping[str, str]


def key_of(task_type: str, task: CommonFields, around: ResultContext) -> str | None:
    """Members in any order and equal numbers in any spelling make one key; texts count as they are, to the last
    character. None where something of it equals nothing, not even itself.
    """
    parameters = parameters_of(task_type, task)
    for field in picture_fields(task_type):
        if (value := parameters.get(field.name)) is not None:
            parameters[field.name] = _by_content(value, around.pictures)
    beside = {name: getattr(task, name) for name in BESIDE_CONFIG}
    fields = around._asdict() | {"pictures": None, "models": sorted(map(list, around.models))}
    told = [_RULE, task_type, parameters, beside, fields]
    if not _is_definite(told):
        return None
    try:
        return hashlib.sha256(canonical(told)).hexdigest()
    except TypeError:  # a text that is no Unicode, or a number beyond 64 bits
        return None


def parameters_of(task_type: str, task: CommonFields) -> dict[str, Any]:
    """With their defaults, so that one that is written out makes no difference."""
    names = TYPES[task_type].params.model_fields.keys() - _NOT_PARAMETERS
    return {name: value for name, value in task.model_dump(mode="json").items() if name in names}


def weights_of(task_type: str, task: CommonFields) -> list[str]:
    """The paths of the LoRAs it names."""
    found = (value for name, value in parameters_of(task_type, task).items() if name.endswith(_WEIGHTS))
    return [path for path in found if path is not None]


def provider_of(task: CommonFields, default: str) -> str:
    """Who is asked first."""
    named = (task.provider_config or {}).get("provider_type")
    return str(task.provider_type or (named if named in [*ProviderType] else None) or default)


def _by_content(value: Any, pictures: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_by_content(item, pictures) for item in value]
    return {"sha256": pictures[value]}


def _is_definite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_definite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_definite, value))
    return not isinstance(value, float) or math.isfinite(value)
