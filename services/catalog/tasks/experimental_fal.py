"""Any app of the vendor fal, with parameters of the caller's own."""

from __future__ import annotations

from pydantic import Field

from services.catalog.base import TaskKind, TaskParams, TaskResult
from services.catalog.enums import ProviderType
from services.catalog.free_json import JsonObject
from services.catalog.numbers import FalApp


class ExperimentalFalParams(TaskParams):
    """What the app is given is up to the caller, and checked by the app alone."""

    fal_app_id: FalApp = Field(description="FAL app that runs the task, such as fal-ai/flux/dev")
    fal_parameters: JsonObject | None = Field(None, description="Parameters handed to the app as they are")


class ExperimentalFalResult(TaskResult):
    """The app's answer and our copies of its files."""

    result_url: str | None = Field(None, description="URL of the first file of the answer; it may expire")
    fal_request_id: str | None = Field(None, description="Id of the request at FAL")
    result_paths: list[str] | None = Field(None, description="Stored paths of our copies of the answer's files")
    output: JsonObject | None = Field(
        None, description="The app's answer; a very large one lies in the last of result_paths instead"
    )


TYPE = TaskKind(
    name="EXPERIMENTAL_FAL",
    params=ExperimentalFalParams,
    result=ExperimentalFalResult,
    from_provider_config=("fal_request_id",),
    update_fields=("fal_app_id", "fal_parameters"),
    default_provider=ProviderType.FAL,
    example={"fal_app_id": "fal-ai/flux/schnell", "fal_parameters": {"prompt": "a red mug on a white background"}},
)
