"""What a task type is to the outside: parameters, a result, and what every task shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from services.catalog.alpha import Alpha
from services.catalog.enums import ProviderType, TaskPriority
from services.catalog.free_json import JsonObject
from services.catalog.images import check_webhook
from services.catalog.providers import check_config, check_offered, queue_of
from services.catalog.public import TaskPublicUpdate
from services.catalog.webhook_events import TaskConfig

MAX_PRIORITY = 100
_PROVIDERS = frozenset(ProviderType)
# Without NUL, which not every store keeps.
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Capabilities = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=32)]
Weight = Annotated[float, Field(ge=-10, le=10)]


class TaskParams(BaseModel):
    """What a task of one type needs; its fields are those of the type's message."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class TaskResult(BaseModel):
    """What a finished task of one type leaves behind."""

    # Errors of it end in logs.
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), hide_input_in_errors=True)


# Each field is checked by itself, so that a caller hears of all that is wrong; it can look at those before it only.
def _check_offered(kind: ProviderType, info: ValidationInfo) -> ProviderType:
    check_offered(str(info.field_name), kind)
    return kind


def _check_provider(config: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    name = str(info.field_name)
    named = name.replace("_config", "_type")
    if named not in info.data:
        return config  # of a provider that is refused itself
    said = config.get("provider_type")
    if isinstance(said, str) and said not in _PROVIDERS:
        raise ValueError(f"{name}.provider_type: must be one of {', '.join(ProviderType)}")
    kind = info.data[named] or (_named_by(config) if named == "provider_type" else None)
    if kind is None:
        raise ValueError("fallback_provider_config needs fallback_provider_type")
    check_config(name, kind, config, info.context)
    return config


def _named_by(config: Mapping[str, Any]) -> ProviderType:
    """The provider whose configuration it says to be; LOCAL where it does not."""
    name = config.get("provider_type")
    return ProviderType(name) if isinstance(name, str) and name in _PROVIDERS else ProviderType.LOCAL


OfferedProvider = Annotated[ProviderType, AfterValidator(_check_offered)]
ProviderConfig = Annotated[JsonObject, AfterValidator(_check_provider)]
QueueName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,64}$")]


class CommonFields(BaseModel):
    """What a caller may say about a task of any type."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    origin_instance: Text = Field(min_length=1, max_length=100, description="Instance creating the task")
    origin_zone: Annotated[Text, Field(max_length=50)] | None = Field(
        None, description="Environment or zone, e.g. 'eu' or 'us'"
    )
    origin_version: Annotated[Text, Field(max_length=50)] | None = Field(
        None, description="Version of the instance's software, told in the task's events"
    )
    origin_tenant_id: Annotated[Text, Field(max_length=100)] | None = Field(None, description="Tenant or organisation")
    origin_reference: Annotated[Text, Field(max_length=512)] | None = Field(
        None, description="The caller's id or text to map the task back"
    )
    priority: int = Field(int(TaskPriority.NORMAL), ge=0, le=MAX_PRIORITY, description="The higher goes first")
    config: TaskConfig | None = Field(
        None,
        description="Free-form settings kept with the task, given back as they were sent, whole numbers up to 64 bits",
    )
    queue_name: QueueName | None = Field(None, description="Queue to use; left out, provider_type decides")
    webhook_url: Annotated[str, Field(max_length=512), AfterValidator(check_webhook)] | None = Field(
        None, description="Webhook to call"
    )
    provider_type: OfferedProvider | None = Field(None, description="Provider that runs the task")
    provider_config: ProviderConfig | None = Field(None, description="Settings for the chosen provider")
    active_provider_capabilities: Capabilities | None = Field(
        None, description="Provider capabilities switched on for this task"
    )
    fallback_provider_type: OfferedProvider | None = Field(
        None, description="Used after the primary has used up its retries, never for the caller's own faults"
    )
    fallback_provider_config: ProviderConfig | None = Field(
        None, description="Settings for the fallback provider; shape depends on its type"
    )
    fallback_provider_capabilities: Capabilities | None = Field(
        None, description="Take the place of active_provider_capabilities once the fallback is activated"
    )

    @property
    def queue(self) -> str:
        """Where the task waits."""
        return self.queue_name or queue_of(self.provider_type or _named_by(self.provider_config or {}))


@dataclass(frozen=True, slots=True)
class TaskKind:
    """One kind of task. `name` is the public name; in lower case it is the `oneof` member and the handler's module.

    `inline_images` maps a public field that takes a picture's bytes to the parameter that then names the stored one,
    `image_urls` one that takes a URL to the parameter it stands for; those in `deprecated` are marked so. `shown_as`
    maps parameters to their other names in the public view. `from_provider_config` are public fields read from the
    provider's configuration. `nullable` are required parameters that the public view may show as null. `update` is
    the base of the update schema, which lists `update_fields` of the parameters too. `default_provider` runs tasks that
    name none, before the deployment's choice. An `internal` type is absent from the public schema. `schema_stem` is
    for public names that do not follow from `name`. `one_by_one` is the parameter whose
    entries are worked on one after another, the task's steps. `alpha` says of each parameter that names a picture what
    becomes of its transparency. `repeatable`: the same parameters make the same result, seeds included. `example` is
    what a small task of it says, beside what all say.
    """

    name: str
    params: type[TaskParams]
    result: type[TaskResult]
    inline_images: Mapping[str, str] = field(default_factory=dict)
    image_urls: Mapping[str, str] = field(default_factory=dict)
    deprecated: frozenset[str] = frozenset()
    shown_as: Mapping[str, str] = field(default_factory=dict)
    from_provider_config: tuple[str, ...] = ()
    nullable: frozenset[str] = frozenset()
    update: type[TaskPublicUpdate] = TaskPublicUpdate
    update_fields: tuple[str, ...] = ()
    default_provider: ProviderType | None = None
    internal: bool = False
    schema_stem: str = ""
    one_by_one: str = ""
    alpha: Mapping[str, Alpha] = field(default_factory=dict)
    repeatable: bool = False
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where its runs store what they make, each below its own `<task id>/`."""
        return self.field + ("es" if self.field.endswith("x") else "s")

    @property
    def field(self) -> str:
        return self.name.lower()

    @property
    def title(self) -> str:
        """Generation, BackgroundRemoval: the stem of the public schemas' names."""
        return self.schema_stem or "".join(part.capitalize() for part in self.field.split("_"))
