"""Prompts of which nothing can be seen are refused, in every field that a model goes by."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from services.catalog.prompts import Prompt, is_blank
from services.catalog.providers import PROVIDERS
from services.catalog.tasks import PUBLIC_TYPES

WORDS = ("prompt", "instructions", "label")
MODELS: list[type[BaseModel]] = [kind.params for kind in PUBLIC_TYPES.values()] + list(PROVIDERS.values())
PROMPTS = [
    pytest.param(model, name, id=f"{model.__name__}.{name}")
    for model in MODELS
    for name in model.model_fields
    if any(word in name.lower() for word in WORDS)
]
BLANKS = {
    "space": " ",
    "line": "\n",
    "tabs and returns": "\t\r\n\v\f",
    "no-break space": "\u00a0\u202f",
    "ideographic space": "\u3000",
    "zero width": "\u200b\u200c\u200d\ufeff",
    "controls": "\x01\x07\x1b\x7f\x85",
    "direction marks": "\u200e\u202e\u2066",
    "line and paragraph separators": "\u2028\u2029",
    "Hangul fillers": "\u3164\uffa0\u115f",
    "blank Braille": "\u2800",
    "variation selectors": "\ufe0f\ufe00",
    "tags": "\U000e0041\U000e007f",
}


def test_prompts_are_found_by_name() -> None:
    assert len(PROMPTS) >= 13


@pytest.mark.field("blank-prompt")
@pytest.mark.parametrize("blank", BLANKS.values(), ids=BLANKS)
@pytest.mark.parametrize(("model", "name"), PROMPTS)
def test_a_blank_prompt_is_refused_with_the_true_reason(model: type[BaseModel], name: str, blank: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({name: blank})
    (message,) = (item["msg"] for item in caught.value.errors() if item["loc"] == (name,))
    assert "must have at least one visible character" in message


@pytest.mark.parametrize("text", ["a", "猫", " . ", "\u200bx", "👩\u200d🎨", "é", "\u0301", "\ue000", "\n-\n"])
def test_whatever_can_be_seen_is_a_prompt(text: str) -> None:
    assert TypeAdapter(Prompt).validate_python(text) == text
    assert not is_blank(text)


@pytest.mark.parametrize(("model", "name"), PROMPTS)
def test_an_optional_prompt_may_be_left_out(model: type[BaseModel], name: str) -> None:
    field = model.model_fields[name]
    assert field.annotation is not None
    if not field.is_required():
        TypeAdapter(field.annotation).validate_python(field.default)
