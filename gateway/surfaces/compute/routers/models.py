"""/api/v1/models: what the deployment draws and cuts out with."""

from __future__ import annotations

from compute.tasks.v1 import tasks_pb2 as pb
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.upstream import upstream_of
from services.common.scopes import TO_READ, needs

router = APIRouter(prefix="/api/v1/models", tags=["Models"])


class ServedModel(BaseModel):
    """A model of the deployment's own that answers now."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str = Field(description="As results and recipes name it")
    model_sha256: str = Field(description="Hash of its weights; of several files of them, of all their hashes")
    model_licence: str = Field(description="Its licence, or unknown")
    serves: str = Field(
        description="diffusion (draws), segmentation (cuts out), upscale (enlarges) or detection (finds)"
    )
    made_for: str | None = Field(description="What it is good for; null where nobody says")
    source: str | None = Field(description="Package and version, hub id and commit, or this repository")
    upstream: str | None = Field(description="Where its makers are")


class ServedModels(BaseModel):
    """All of them."""

    models: list[ServedModel] = Field(description="By what they serve, then by name; none while no worker is there")


@router.get("", summary="List Models", response_model=ServedModels)
@needs(TO_READ)
async def list_models(request: Request) -> ServedModels:
    """Returns the deployment's own models, as its workers see them now; providers' models are theirs to list."""
    found = await upstream_of(request).tasks.models(request)
    return ServedModels(models=[_shown(model) for model in found])


def _shown(model: pb.ServedModel) -> ServedModel:
    return ServedModel(
        model_name=model.name,
        model_sha256=model.sha256,
        model_licence=model.licence,
        serves=model.serves,
        made_for=model.made_for or None,
        source=model.source or None,
        upstream=model.upstream or None,
    )
