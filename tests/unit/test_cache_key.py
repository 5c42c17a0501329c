"""What makes two steps the same: order, spelling and types of values, texts, pictures, models, weights and tenants."""

from __future__ import annotations

import math
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from compute.storage.v1.storage_pb2 import ObjectInfo
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.base import CommonFields
from services.catalog.schemas import ALL_SCHEMAS
from services.common.errors import NotFound
from services.workflows.cache_identity import Identities, WeightFiles
from services.workflows.cache_key import ResultContext, key_of, provider_of
from services.workflows.served_models import software

AROUND = ResultContext("acme", "code", "LOCAL", [("diffusion", "starter", "aa"), ("upscale", "x4", "bb")], {}, {})
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def task(kind: str = "GENERATION", **fields: Any) -> CommonFields:
    given: dict[str, Any] = {"origin_instance": "test", "task_type": kind, "prompt": "a red mug", "seed": 7}
    return ALL_SCHEMAS[kind].create.model_validate({**given, **fields})


def key(wanted: CommonFields | None = None, around: ResultContext = AROUND, **changes: Any) -> str | None:
    return key_of("GENERATION", wanted or task(), around._replace(**changes))


def free(value: Any) -> str | None:
    """Of a task whose free object holds that value."""
    wanted = task().model_copy(update={"provider_config": {"x": value}})
    return key_of("GENERATION", wanted, AROUND)


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(name, shuffled(item, rng)) for name, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


def told(value: Any) -> Any:
    """By type, but for whole numbers, which JSON spells in two ways."""
    if isinstance(value, dict):
        return {name: told(item) for name, item in value.items()}
    if isinstance(value, list):
        return [told(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (type(value).__name__, value)


@pytest.mark.field("cache-key-by-order")
@given(JSON, st.randoms(use_true_random=False))
def test_members_in_any_order_make_one_key(value: Any, rng: random.Random) -> None:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return
    assert free(value) == free(shuffled(value, rng)) is not None


@pytest.mark.field("cache-key-by-type")
@given(JSON, JSON)
def test_values_make_one_key_where_they_are_the_same_to_whoever_reads_them(one: Any, other: Any) -> None:
    same = told(one) == told(other)
    assert (free(one) == free(other)) == same or free(one) is None


@pytest.mark.field("cache-key-by-type")
def test_a_number_a_text_and_a_truth_value_are_three_things() -> None:
    keys = {free(value) for value in (1, "1", True, None, "null", [1], {"1": 1}, "", 0, False, [], {})}
    assert len(keys) == 12
    assert free(1) == free(1.0) and free(0) == free(-0.0) and free(0.1) == free(0.1000000000000000055)
    assert free(0.1) != free(math.nextafter(0.1, 1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [math.nan], {"deep": [math.inf]}, 2**70, "\ud800"])
def test_what_equals_nothing_has_no_key(value: Any) -> None:
    assert free(value) is None


def test_texts_count_to_the_last_character() -> None:
    composed = "un café"
    keys = {
        key(task(prompt=text))
        for text in (composed, unicodedata.normalize("NFD", composed), f"{composed} ", "UN CAFÉ", "un cafe")
    }
    assert len(keys) == 5


def test_a_default_that_is_written_out_and_what_is_no_parameter_make_no_difference() -> None:
    adjusted = {"input_image": "a.png", "target_width": 9, "target_height": 9}
    around = AROUND._replace(pictures={"a.png": "ff"})
    plain = ALL_SCHEMAS["IMAGE_ADJUSTER"].create
    one, other = (
        plain.model_validate({"origin_instance": name, "task_type": "IMAGE_ADJUSTER", **adjusted, **more})
        for name, more in (("shop", {}), ("other", {"mode": "auto", "tolerance": 0, "priority": 3, "queue_name": "q"}))
    )
    assert key_of("IMAGE_ADJUSTER", one, around) == key_of("IMAGE_ADJUSTER", other, around) is not None
    assert key(task(workflow_id="w")) == key()


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a blue mug"},
        {"seed": 8},
        {"seed": None},
        {"width": 128},
        {"subject_model_path": "a.safetensors"},
        {"provider_config": {"provider_type": "LOCAL"}},
        {"fallback_provider_type": "FAL"},
        {"active_provider_capabilities": ["LORA"]},
    ],
)
def test_every_parameter_and_provider_counts(changes: dict[str, Any]) -> None:
    assert key(task(**changes)) != key()


@pytest.mark.field("cache-key-by-model")
@pytest.mark.parametrize(
    "around",
    [
        {"tenant": "rival"},
        {"software": "other code"},
        {"provider": "FAL"},
        {"models": [("diffusion", "starter", "cc"), ("upscale", "x4", "bb")]},
        {"models": [("diffusion", "starter", "aa")]},
        {"models": []},
        {"weights": {"a.safetensors": "dd"}},
    ],
)
def test_whatever_a_result_follows_from_counts(around: dict[str, Any]) -> None:
    assert key(**around) != key()


def test_models_count_in_any_order() -> None:
    assert key(models=list(reversed(AROUND.models))) == key()


def test_weights_count_by_content_and_by_how_much_they_weigh() -> None:
    keys = {
        key(task(subject_model_path="a.safetensors", subject_lora_weight=weight), weights={"a.safetensors": sha256})
        for weight in (0.5, 1.0)
        for sha256 in ("aa", "bb")
    }
    assert len(keys) == 4


def test_pictures_count_by_content_and_not_by_path() -> None:
    def of(path: str, sha256: str) -> str | None:
        return key(task(reference_image_path=path), pictures={path: sha256})

    assert of("a/1.png", "aa") == of("b/2.png", "aa")
    assert of("a/1.png", "aa") != of("a/1.png", "bb")


def test_pictures_of_a_list_count_in_their_order() -> None:
    def of(*paths: str) -> str | None:
        create = ALL_SCHEMAS["BACKGROUND_REMOVAL"].create
        fields = {"origin_instance": "t", "task_type": "BACKGROUND_REMOVAL", "input_image_paths": list(paths)}
        around = AROUND._replace(pictures={"a.png": "aa", "b.png": "bb", "c.png": "aa"})
        return key_of("BACKGROUND_REMOVAL", create.model_validate(fields), around)

    assert of("a.png", "b.png") == of("c.png", "b.png") != of("b.png", "a.png")


def test_whoever_is_asked_first_is_told_as_workers_tell_it() -> None:
    assert provider_of(task(), "LOCAL") == "LOCAL"
    assert provider_of(task(), "FAL") == "FAL"
    assert provider_of(task(provider_config={"provider_type": "FAL"}), "LOCAL") == "FAL"
    assert provider_of(task(provider_type="VERTEX"), "LOCAL") == "VERTEX"


class Heads:
    """Objects by path, and their hashes."""

    def __init__(self, **hashes: str) -> None:
        self._hashes = hashes

    async def head(self, path: str, *, tenant: str) -> ObjectInfo:
        if path not in self._hashes:
            raise NotFound("there is no such object")
        return ObjectInfo(path=path, sha256=self._hashes[path])


def identities(root: Path, **hashes: str) -> Identities:
    async def models(tenant: str) -> list[tuple[str, str, str]]:
        return [("diffusion", "starter", "aa")]

    async def software() -> str:
        return "code"

    weights = WeightFiles(root)
    return Identities(Heads(**hashes), models, weights, default_provider="LOCAL", software=software)


@pytest.mark.field("cache-key-by-model")
async def test_a_lora_that_is_replaced_under_its_name_is_another(tmp_path: Path) -> None:
    of = identities(tmp_path)
    wanted, file = task(subject_model_path="hat.safetensors"), tmp_path / "hat.safetensors"
    assert await of.of("acme", "GENERATION", wanted) is None, "it is not seen"
    file.write_bytes(b"one")
    first = await of.of("acme", "GENERATION", wanted)
    assert first is not None and await of.of("acme", "GENERATION", wanted) == first
    file.write_bytes(b"another")
    second = await of.of("acme", "GENERATION", wanted)
    assert second is not None and second != first
    climbing = task(subject_model_path="../hat.safetensors")
    assert await of.of("acme", "GENERATION", climbing) is None
    elsewhere = task(subject_model_path="hat.safetensors", provider_type="FAL")
    assert await of.of("acme", "GENERATION", elsewhere) is None, "whose file it is only the provider knows"


async def test_what_cannot_be_told_by_content_is_never_looked_for(tmp_path: Path) -> None:
    of = identities(tmp_path, **{"a.png": "ff"})
    assert await of.of("acme", "GENERATION", task(reference_image_path="b.png")) is None
    found = await of.of("acme", "GENERATION", task(reference_image_path="a.png"))
    assert found is not None and found.pictures == {"ff": "a.png"}
    fields = {"origin_instance": "t", "task_type": "IMAGE_ADJUSTER", "target_width": 9, "target_height": 9}
    local = ALL_SCHEMAS["IMAGE_ADJUSTER"].create.model_validate({**fields, "input_image": "file:///pictures/a.png"})
    assert await of.of("acme", "IMAGE_ADJUSTER", local) is None


async def test_the_code_counts_and_says_the_same_each_time() -> None:
    assert await software() == await software()
    assert len(await software()) == 64
