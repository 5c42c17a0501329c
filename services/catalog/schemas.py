"""The public REST models of every task type, derived from the catalog: Create…Task, …TaskPublic, …TaskPublicUpdate."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import Field, create_model, model_validator
from pydantic.fields import FieldInfo

from services.catalog.base import CommonFields, TaskKind
from services.catalog.enums import ProviderType
from services.catalog.images import ImageData, ImageInput, ImageUrl, InlineAllowed, LocalAllowed, LocalInput
from services.catalog.public import TaskPublic, TaskPublicUpdate
from services.catalog.tasks import TYPES


@dataclass(frozen=True, slots=True)
class TaskSchemas:
    """The public models of one task type."""

    kind: TaskKind
    create: type[CommonFields]
    public: type[TaskPublic]
    update: type[TaskPublicUpdate]


def derive(kind: TaskKind) -> TaskSchemas:
    words = kind.name.replace("_", " ").lower()
    return TaskSchemas(
        kind=kind,
        create=create_model(
            f"Create{kind.title}Task",
            __base__=(CommonFields, cast("type[CommonFields]", kind.params)),
            __doc__=sys.modules[kind.params.__module__].__doc__,
            __validators__=_picture_checks(kind),
            **_create_fields(kind),
        ),
        public=create_model(
            f"{kind.title}TaskPublic",
            __base__=TaskPublic,
            __doc__=f"A {words} task as the API shows it",
            **_public_fields(kind),
        ),
        update=create_model(
            f"{kind.title}TaskPublicUpdate",
            __base__=kind.update,
            __doc__=f"Request to change a {words} task",
            **_update_fields(kind),
        ),
    )


def inline_mark(info: FieldInfo) -> InlineAllowed | None:
    """How a parameter is marked whose public counterpart also takes a picture's bytes."""
    return next((item for item in info.metadata if isinstance(item, InlineAllowed)), None)


def is_list(info: FieldInfo) -> bool:
    return any(get_origin(part) is list for part in (info.annotation, *get_args(info.annotation)))


def _create_fields(kind: TaskKind) -> dict[str, Any]:
    fields: dict[str, Any] = {"task_type": (Literal[kind.name], Field(description="Task type"))}
    if kind.default_provider is not None:
        text = "Provider that runs the task"
        fields["provider_type"] = (ProviderType | None, Field(kind.default_provider, description=text))
    stood_for = {*kind.inline_images.values(), *kind.image_urls.values()}
    for name, info in kind.params.model_fields.items():
        if inline_mark(info) is not None:
            fields[name] = _accepting_bytes(info, optional=name in stood_for)
    for name, target in kind.inline_images.items():
        text = f"The picture itself as base64 or data URL, in place of {target}"
        fields[name] = (ImageData | None, _stand_in(kind, name, text))
    for name, target in kind.image_urls.items():
        fields[name] = (ImageUrl | None, _stand_in(kind, name, f"URL of the picture, in place of {target}"))
    return fields


def _accepting_bytes(info: FieldInfo, *, optional: bool) -> tuple[Any, Any]:
    wanted: Any = LocalInput if isinstance(inline_mark(info), LocalAllowed) else ImageInput
    nullable = NoneType in get_args(info.annotation)
    if is_list(info):
        return (list[wanted] | None if nullable else list[wanted]), info
    if nullable or optional:
        return wanted | None, Field(None, description=info.description)
    return wanted, Field(description=info.description)


def _stand_in(kind: TaskKind, name: str, text: str) -> Any:
    # Pydantic's own mark would warn at every look.
    return Field(None, description=text, json_schema_extra={"deprecated": True} if name in kind.deprecated else None)


def _picture_checks(kind: TaskKind) -> dict[str, Callable[..., Any]]:
    """A picture can be named in one way at a time, and in one at least where the type needs it."""
    ways: dict[str, list[str]] = {}
    for name, target in {**kind.inline_images, **kind.image_urls}.items():
        ways.setdefault(target, [target]).append(name)
    needed = {target for target in ways if kind.params.model_fields[target].is_required()}
    single = {target: names for target, names in ways.items() if not is_list(kind.params.model_fields[target])}

    def check(self: CommonFields) -> CommonFields:
        for target, names in single.items():
            given = [name for name in names if getattr(self, name) is not None]
            if len(given) > 1:
                raise ValueError(f"give only one of {', '.join(given)}")
            if not given and target in needed:
                raise ValueError(f"give one of {', '.join(names)}")
        return self

    return {"_check_pictures": cast("Callable[..., Any]", model_validator(mode="after")(check))} if single else {}


def _public_fields(kind: TaskKind) -> dict[str, Any]:
    """Parameters and results together; what both have is the result's once there is one."""
    fields: dict[str, Any] = {"task_type": (Literal[kind.name], Field(kind.name, description="Task type"))}
    for name, info in kind.params.model_fields.items():
        required = info.is_required() and name not in kind.nullable
        annotation = info.annotation if required else _nullable(info)
        shown = kind.shown_as.get(name, name)
        fields[shown] = (annotation, Field(... if required else None, description=info.description))
    for name, info in kind.result.model_fields.items():
        if name not in fields:
            fields[name] = _result_field(info)
    for name in kind.from_provider_config:
        said = "Read from the provider's configuration"
        fields[name] = (str | None, Field(description=said, json_schema_extra={"readOnly": True}))
    return fields


def _result_field(info: FieldInfo) -> tuple[Any, Any]:
    """Null until there is a result, but for those that have a value of their own from the start."""
    if info.is_required() or info.default is None:
        return _nullable(info), Field(None, description=info.description)
    return info.annotation, Field(info.default, description=info.description)


def _update_fields(kind: TaskKind) -> dict[str, Any]:
    fields = kind.params.model_fields
    return {
        name: (_nullable(fields[name]), Field(None, description=fields[name].description))
        for name in kind.update_fields
    }


def _nullable(info: FieldInfo) -> Any:
    return info.annotation | None  # type: ignore[operator]  # a type


# Internal types are for operators (scope admin) and stay out of the OpenAPI document.
ALL_SCHEMAS = {name: derive(kind) for name, kind in TYPES.items()}
SCHEMAS = {name: schemas for name, schemas in ALL_SCHEMAS.items() if not schemas.kind.internal}
