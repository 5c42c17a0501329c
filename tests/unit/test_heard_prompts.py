"""What a model says of its request reaches the result, the recipe, and whoever reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from compute.tasks.v1 import params_pb2

from services.catalog.results import PromptedResult
from services.catalog.tasks import TYPES
from services.common.errors import Internal
from services.inference.generation_facts import facts_of, film_recipe, heard_facts, recipe_of
from services.providers.capabilities.animating import Animation
from services.providers.capabilities.editing import EditRequest
from services.providers.capabilities.refining import DiffusionPass, Refinement
from services.providers.pipelines import animating, editing, refining
from services.providers.pipelines.refining import RefinerSettings
from services.providers.ports import (
    DiffusionStep,
    Drawing,
    DrawnPicture,
    IgnoredField,
    ModelFeedback,
    ModelWarning,
    OnStep,
)
from services.providers.triton.answers import picture_of
from services.rpc.proto import fill, read
from tests.fakes.diffusion import FakeDiffusion, noisy, redrawer

HEARD = ModelFeedback(
    (IgnoredField("negative_prompt", ("blue",)), IgnoredField("guidance")),
    (ModelWarning("PROMPT_WORDS_UNKNOWN", "unknown", ("beach",)), ModelWarning("SIZE_UNUSUAL", "512x512")),
)
IGNORED = [{"field": "negative_prompt", "words": ["blue"]}, {"field": "guidance", "words": []}]
UNKNOWN = {"reason": "PROMPT_WORDS_UNKNOWN", "message": "unknown", "words": ["beach"]}
UNUSUAL = {"reason": "SIZE_UNUSUAL", "message": "512x512", "words": []}
HEARD_TYPES = [kind for kind in TYPES.values() if issubclass(kind.result, PromptedResult)]
IMAGE = np.full((64, 64, 3), 120, np.uint8)


class SayingDiffusion(FakeDiffusion):
    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        return replace(await super().draw(drawing, on_step), heard=HEARD)


def _event(**more: Any) -> dict[str, Any]:
    model = {"name": "m", "sha256": "0", "licence": "none"}
    return {"event": "result", "steps": 1, "seed": 5, "queued_ms": 1, "denoise_ms": 1, "model": model, **more}


def _picture(**more: Any) -> DrawnPicture:
    drawing = Drawing("x", 5, width=8, height=8)
    pixels = {"RESULT": np.zeros((8, 8, 3), np.uint8)}
    return picture_of(_event(**more), pixels, drawing, DiffusionStep(1, 1), default_guidance=3.0)


async def _quiet(_: DiffusionStep) -> None:
    return None


def test_a_models_answer_is_taken_with_what_it_says_of_its_request() -> None:
    assert _picture(ignored=IGNORED, warnings=[UNKNOWN, UNUSUAL]).heard == HEARD
    assert _picture().heard == ModelFeedback()


@pytest.mark.parametrize("said", [{"ignored": ["prompt"]}, {"warnings": [{"words": []}]}, {"ignored": {"field": "x"}}])
def test_what_it_says_in_another_form_is_not_believed(said: Any) -> None:
    with pytest.raises(Internal, match="cannot be used"):
        _picture(**said)


def test_result_and_recipe_tell_it() -> None:
    picture = _picture(ignored=IGNORED, warnings=[UNKNOWN, UNUSUAL])
    facts, recipe = facts_of(picture), recipe_of(picture, prompt="x")
    assert [found.model_dump() for found in facts["ignored"]] == recipe["ignored"] == IGNORED
    assert [found.model_dump() for found in facts["warnings"]] == recipe["warnings"] == [UNKNOWN, UNUSUAL]
    assert not {"ignored", "warnings"} & recipe_of(_picture()).keys()


def test_every_type_whose_model_goes_by_words_can_tell_it() -> None:
    names = {"GENERATION", "EDITING", "REFINE", "VIDEO_GENERATION", "DETAIL_ENHANCER", "FACE_ENHANCER"}
    assert {kind.name for kind in HEARD_TYPES} == names


@pytest.mark.parametrize("kind", HEARD_TYPES, ids=lambda kind: kind.name)
def test_it_travels_over_grpc_whole(kind: Any) -> None:
    facts = {"result_image_path": "a.png", "result_video_path": "a.mp4", "width": 1, "height": 1, **heard_facts(HEARD)}
    result = kind.result(**{name: value for name, value in facts.items() if name in kind.result.model_fields})
    message = getattr(params_pb2, type(result).__name__)()
    fill(message, result)
    assert read(type(message).FromString(message.SerializeToString()), kind.result) == result


async def test_an_edit_tells_of_its_words_and_not_of_a_size_it_did_not_choose() -> None:
    picture = await editing.edit(SayingDiffusion(), EditRequest("x", IMAGE, 1), _quiet, native_pixels=64 * 64)
    assert picture.heard == HEARD.of_words
    assert [doubt.reason for doubt in picture.heard.model_warnings] == ["PROMPT_WORDS_UNKNOWN"]


@pytest.mark.parametrize(("prompt", "told"), [("on the beach", HEARD.of_words), (None, ModelFeedback())])
async def test_a_refinement_tells_of_the_callers_words_only(prompt: str | None, told: ModelFeedback) -> None:
    wanted = Refinement(IMAGE, upscale=DiffusionPass(0.3, 4, 1, prompt), faces=None)
    refined = await refining.refine(wanted, RefinerSettings(), redrawer(SayingDiffusion(noisy(3))), _quiet)
    assert refined.picture.heard == told


async def test_a_film_tells_of_its_words() -> None:
    wanted = Animation(IMAGE, "on the beach", 1, 1)
    film = await animating.animate(SayingDiffusion(), wanted, _quiet, native_pixels=64 * 64)
    assert film.heard == HEARD.of_words
    assert film_recipe(film, wanted)["warnings"] == [UNKNOWN]


@pytest.mark.field("camera-words-unknown")
async def test_a_film_knows_the_words_of_its_camera() -> None:
    class Unmoved(FakeDiffusion):
        async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
            doubts = (
                ModelWarning("PROMPT_SUBJECT_UNKNOWN", "nothing to draw"),
                ModelWarning("PROMPT_WORDS_UNKNOWN", "unknown", ("pan", "left")),
            )
            return replace(await super().draw(drawing, on_step), heard=ModelFeedback((), doubts))

    film = await animating.animate(Unmoved(), Animation(IMAGE, "pan left", 1, 1), _quiet, native_pixels=64 * 64)
    assert film.heard == ModelFeedback()
