"""What made a picture: for the task's result, and as the recipe inside the file."""

from __future__ import annotations

import random
from typing import Any

from services.catalog import results
from services.providers.capabilities.animating import Animation, Film
from services.providers.pipelines.redrawing import UNTOUCHED
from services.providers.ports import DrawnPicture, ModelCard, ModelFeedback

_DRAWN_SEEDS = 2**31
_SEED_LIMIT = 2**63


def chosen_seed(given: int | None) -> int:
    """The caller's, else one that is drawn now."""
    return random.randrange(_DRAWN_SEEDS) if given is None else given


def told_seed(seed: int | None) -> int | None:
    """A seed as a task's result holds it: None for a vendor's of 64 bits, which only the recipe tells."""
    return seed if seed is not None and -_SEED_LIMIT <= seed < _SEED_LIMIT else None


def facts_of(picture: DrawnPicture) -> dict[str, Any]:
    """The fields that the results of drawing tasks share; durations in seconds."""
    height, width, _ = picture.pixels.shape
    return {
        "seed": told_seed(picture.seed),
        "width": width,
        "height": height,
        "steps": picture.steps,
        **result_model(picture.model),
        "queued_seconds": picture.queued_seconds,
        "denoise_seconds": picture.denoise_seconds,
        **heard_facts(picture.heard),
    }


def heard_facts(heard: ModelFeedback) -> dict[str, Any]:
    """What the model said of its request, as every result of one holds it."""
    return {
        "ignored": [results.Ignored(field=found.field, words=list(found.words)) for found in heard.ignored],
        "warnings": [
            results.Warning(reason=doubt.reason, message=doubt.message, words=list(doubt.words))
            for doubt in heard.model_warnings
        ],
    }


def recipe_of(picture: DrawnPicture, **more: Any) -> dict[str, Any]:
    """What is needed to draw it again, with `more` that is not None. Paths and addresses of the caller stay out."""
    height, width, _ = picture.pixels.shape
    recipe = {
        "seed": picture.seed,
        "width": width,
        "height": height,
        "steps": picture.steps,
        "guidance": picture.guidance,
        "model": model_facts(picture.model),
        "loras": [{"sha256": sha256, "weight": weight} for sha256, weight in picture.loras],
    }
    return recipe | _told(picture.heard) | {name: value for name, value in more.items() if value is not None}


def _told(heard: ModelFeedback) -> dict[str, Any]:
    facts = {name: [item.model_dump() for item in items] for name, items in heard_facts(heard).items()}
    return {name: items for name, items in facts.items() if items}


def film_recipe(film: Film, asked: Animation) -> dict[str, Any]:
    """The same of a film; `fps` as it came out."""
    return {
        "prompt": asked.prompt,
        "negative_prompt": asked.negative_prompt,
        "seconds": asked.seconds,
        "guidance": asked.guidance,
        "seed": film.seed,
        "width": film.width,
        "height": film.height,
        "frames": film.frames,
        "fps": film.fps,
        "model": None if film.model is None else model_facts(film.model),
        "loras": [],
        **_told(film.heard),
    }


def result_model(card: ModelCard | None) -> dict[str, Any]:
    """The same as the fields of a result: null where nobody was asked, or the provider does not say."""
    if card is None or card == UNTOUCHED:
        return dict.fromkeys(("model_name", "model_sha256", "model_licence"))
    return {f"model_{name}": value or None for name, value in model_facts(card).items()}


def model_facts(card: ModelCard) -> dict[str, str]:
    return {"name": card.name, "sha256": card.sha256, "licence": card.licence}
