"""/v1/verses."""

from __future__ import annotations

from fastapi import APIRouter, Request

from services.common.errors import NotFound
from services.common.scopes import TO_READ, needs

router = APIRouter(prefix="/v1/verses", tags=["Verses"])


@router.get("/{verse}", summary="Get Verse")
@needs(TO_READ)
async def get_verse(request: Request, verse: int) -> dict[str, str]:
    """One verse."""
    raise NotFound(f"there is no verse {verse}", reason="TASK_NOT_FOUND")


@router.get("/first", summary="Get First Verse")
@needs(TO_READ)
async def get_first(request: Request) -> dict[str, str]:
    """The first verse."""
    return {"tenant": request.scope["caller"].tenant}
