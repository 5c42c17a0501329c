"""A model that a deployment may do without, on a repository that says what has become of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from services.common.errors import ModelUnusable
from services.providers.triton.connection import ModelState
from services.providers.triton.failures import ModelLost
from services.providers.triton.optional import OptionalModel
from services.providers.triton.supervisor import CanaryReply
from tests.waiting import until

NO_SUCH_MODEL = ModelLost("Request for unknown model", refused=True)


class Repository:
    """Triton's, with one model in one state."""

    is_here = False

    def __init__(self, state: ModelState) -> None:
        self.said = state

    async def state(self, model: str) -> ModelState:
        return self.said

    async def reload(self, model: str) -> None:
        raise NO_SUCH_MODEL

    async def canary(self) -> CanaryReply:
        if self.said.name != "READY":
            raise NO_SUCH_MODEL
        return CanaryReply()


def optional(state: ModelState) -> OptionalModel:
    repository = Repository(state)
    return OptionalModel("upscale", repository, repository.canary, silence=30.0)  # type: ignore[arg-type]


async def settled(model: OptionalModel, look: Callable[[], bool]) -> None:
    watch = asyncio.create_task(model.run())
    try:
        await until(look)
    finally:
        watch.cancel()


@pytest.mark.parametrize(
    ("state", "served"),
    [
        (ModelState(""), False),
        (ModelState("UNAVAILABLE", "unloaded"), False),
        (ModelState("READY"), True),
        (ModelState("LOADING"), True),
        (ModelState("UNAVAILABLE", "Internal: ArtefactRefused: /srv/x.bin is not the file"), True),
    ],
)
async def test_one_that_could_not_be_loaded_is_there_and_one_that_never_was_is_not(
    state: ModelState, served: bool
) -> None:
    assert await optional(state).served() == served


async def test_one_that_could_not_be_loaded_is_broken_and_not_missing() -> None:
    model = optional(ModelState("UNAVAILABLE", "Internal: ArtefactRefused: /srv/x.bin is not the file"))
    await settled(model, lambda: model.supervisor._unusable is not None)
    for ask in (model.check, model.ask):
        with pytest.raises(ModelUnusable) as failed:
            await ask()
        assert failed.value.detail.endswith("/srv/x.bin is not the file") and "/srv" not in failed.value.message
