"""Tasks of every type: members spoilt, providers confused, pictures damaged, and then whatever may be done to one."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from services.catalog.enums import ProviderType
from services.catalog.providers import PROVIDERS
from services.catalog.schemas import SCHEMAS
from services.catalog.webhook_events import EVENTS
from tests.corpora.paths import LOCAL_REFUSED, REFUSED
from tests.corpora.urls import INWARD
from tests.fuzz import pictures
from tests.fuzz.cases import HttpCase, Shoot, http_request, json_request
from tests.fuzz.target import CALLERS_SECRET, TENANT

KIND = "task types"
TASKS = "/api/v1/tasks/"
_HOOKS = "/api/v1/webhooks"
# What each type cannot do without.
NEEDED: dict[str, dict[str, Any]] = {
    "GENERATION": {"prompt": "a mug"},
    "EDITING": {"prompt": "a blue mug", "base_image": "a.png"},
    "REFINE": {"base_image_url": "a.png", "upscale_factor": 2},
    "DETAIL_ENHANCER": {"base_image": "a.png", "reference_image": "b.png"},
    "FACE_ENHANCER": {"input_image": "a.png"},
    "BACKGROUND_REMOVAL": {"input_image_paths": ["a.png"]},
    "BACKGROUND_FIX": {"base_image": "a.png", "palette_image": "b.png"},
    "IMAGE_ADJUSTER": {"input_image": "a.png", "aspect_ratio": 1},
    "VIDEO_GENERATION": {"prompt": "it turns", "input_image_path": "a.png"},
    "LLM_INTERACTION": {"prompt": "what is it?"},
    "EXPERIMENTAL_FAL": {"fal_app_id": "fal-ai/flux/dev"},
}
# Members that take a picture by a reference, or by its bytes.
PICTURES: dict[str, tuple[str, ...]] = {
    "EDITING": ("base_image", "mask_image", "reference_images"),
    "REFINE": ("base_image_url",),
    "DETAIL_ENHANCER": ("base_image", "reference_image"),
    "FACE_ENHANCER": ("input_image",),
    "BACKGROUND_REMOVAL": ("input_image_paths",),
    "BACKGROUND_FIX": ("base_image", "palette_image"),
    "IMAGE_ADJUSTER": ("input_image", "reference_image"),
    "VIDEO_GENERATION": ("input_image_path",),
    "LLM_INTERACTION": ("input_images",),
}
# Those that may name a file of the machine.
LOCAL = frozenset({"BACKGROUND_FIX", "IMAGE_ADJUSTER"})
_LISTS = frozenset({"reference_images", "input_image_paths", "input_images"})
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 61, 16_385, 2**31, 2**53 + 1, 2**63, 10**400, 0.5, -0.0, 1e-300, 1e308,
    float("nan"), float("inf"), "", " ", "x", "\0", "\ud800", "é" * 3000, "x" * 30_000, "1", "NaN", "auto", "AUTO",
    "UPSCALE_2X", "../x", "x?key=1", "//evil.example/x", "file:///etc/passwd", "http://169.254.169.254/", [], [[]],
    [None], ["x"] * 40, ["a.png", "../b"], {}, {"": ""}, {"\0": "\0"}, {"$where": "1", "a.b": {"__proto__": []}},
    {"a": [[[[[[[[[[[[[[1]]]]]]]]]]]]]]}, {"provider_type": "FAL"}, {"webhook_events": ["completed"]},
    {"a": "x" * 70_000}, {"image_url": "http://10.0.0.1/x.png"},
)  # fmt: skip
_PLACES = ("0", "1", "99999999", "-1", "9" * 18, "9" * 19, "abc", "٣", "1, 2", "")


def attack(shoot: Shoot, cases: int, seed: int) -> None:
    rng = random.Random(f"{seed}:{KIND}")
    made = itertools.chain.from_iterable(_round(rng, f"{seed}-{number}") for number in itertools.count())
    for case in itertools.islice(made, cases):
        shoot(case)


def body(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    secret = {
        "webhook_url": f"https://hooks.example.com/done?secret={CALLERS_SECRET}",
        "config": {"secret": CALLERS_SECRET},
    }
    return {"task_type": kind, "origin_instance": "fuzz", **secret, **NEEDED[kind], **fields}


def create(kind: str, note: str, fields: dict[str, Any], *, refused: bool = False, key: str = "") -> HttpCase:
    headers = {"Idempotency-Key": key} if key else {}
    content = json.dumps(body(kind, fields)).encode()
    return HttpCase(KIND, f"{kind}: {note}", json_request("POST", TASKS, content, headers), refused=refused)


def _round(rng: random.Random, name: str) -> Iterator[HttpCase]:
    kind = rng.choice(list(NEEDED))
    yield _spoilt(rng, kind)
    yield _spoilt(rng, rng.choice(list(NEEDED)))
    yield _confused(rng, kind)
    yield _illustrated(rng, rng.choice(list(PICTURES)))
    yield from _life(rng, kind, name)


def _spoilt(rng: random.Random, kind: str) -> HttpCase:
    """One or two members of its schema are something else."""
    names = rng.sample(sorted(SCHEMAS[kind].create.model_fields), k=rng.choice((1, 1, 2)))
    fields = {name: rng.choice(_ODD) for name in names if name != "task_type"}
    return create(kind, ", ".join(f"{name}={value!r:.30}" for name, value in fields.items()), fields)


def _confused(rng: random.Random, kind: str) -> HttpCase:
    """A provider with a configuration that is its own, another's, or nobody's."""
    fields: dict[str, Any] = {}
    for prefix in rng.choice((("",), ("fallback_",), ("", "fallback_"))):
        provider = rng.choice(list(ProviderType))
        settings = PROVIDERS[rng.choice((provider, provider, rng.choice(list(ProviderType))))]
        chosen = rng.sample(sorted(settings.model_fields), k=min(2, len(settings.model_fields)))
        fields[f"{prefix}provider_type"] = provider.value
        fields[f"{prefix}provider_config"] = {member: rng.choice(_ODD) for member in chosen}
    fields["active_provider_capabilities"] = rng.choice((None, [], ["UPSCALE_2X"], ["x"] * 33, ["x" * 65], [1]))
    events = rng.choice((sorted(EVENTS), [], ["ended"], [1], "completed", {"a": 1}, ["completed"] * 9000))
    fields["config"] = {"webhook_events": events, "secret": CALLERS_SECRET}
    return create(kind, "providers", fields)


def _illustrated(rng: random.Random, kind: str) -> HttpCase:
    """Pictures as bytes, whole and damaged, in lists too, where a reference may stand."""
    fields: dict[str, Any] = {}
    for name in PICTURES[kind]:
        found = [_inline(rng) for _ in range(rng.choice((1, 2, 9)))]
        fields[name] = [*found, "a.png"] if name in _LISTS else found[0]
    if kind in ("EDITING", "VIDEO_GENERATION") and rng.randrange(3) == 0:
        older = ("base_image_data", "reference_image_data") if kind == "EDITING" else ("input_image_data",)
        fields |= {name: _inline(rng) for name in older}
    return create(kind, "pictures inside", fields)


def _inline(rng: random.Random) -> str:
    text = base64.b64encode(pictures.damaged(rng)[1]).decode()
    return rng.choice((text, text, f"data:image/png;base64,{text}", text[: len(text) // 2], f" {text}\n"))


def _life(rng: random.Random, kind: str, name: str) -> Iterator[HttpCase]:
    """A task whose id follows from its key, and what is done to it, in no good order."""
    key = f"fuzz-{name}"
    task_id = uuid5(NAMESPACE_URL, f"atelier:{len(TENANT)}:{TENANT}:{key}")
    place = f"{TASKS}{task_id}"
    whole = {"config": {"webhook_events": sorted(EVENTS), "secret": CALLERS_SECRET}}
    yield create(kind, "with a key", whole, key=key)
    change = json.dumps({rng.choice(("priority", "config", "status", "errors", "prompt")): rng.choice(_ODD)}).encode()
    events = {"Last-Event-ID": rng.choice(_PLACES)}
    steps = [
        HttpCase(KIND, "change", json_request("PUT", place, change)),
        HttpCase(KIND, "change as generation", json_request("PUT", f"{TASKS}generation/{task_id}", change)),
        HttpCase(KIND, "provenance", http_request("GET", f"{place}/provenance")),
        HttpCase(KIND, f"events from {events}", http_request("GET", f"{place}/events", events), unfinished=True),
        HttpCase(KIND, "its deliveries", http_request("GET", f"{_HOOKS}/deliveries?task_id={task_id}")),
        HttpCase(KIND, "replay", http_request("POST", f"{_HOOKS}/deliveries/{task_id}_{rng.randrange(9)}_x/replay")),
        HttpCase(KIND, "resume", http_request("POST", f"{place}/resume")),
        HttpCase(KIND, "cancel", http_request("POST", f"{place}/cancel")),
        HttpCase(KIND, "clean", http_request("POST", f"{place}/cleanup")),
        HttpCase(KIND, "delete", http_request("DELETE", place)),
        create(kind, "again with its key", whole, key=key),
        create(kind, "another with its key", {"priority": 7}, key=key),
    ]
    yield from rng.sample(steps, k=rng.randint(3, 7))


def addressed() -> Iterator[HttpCase]:
    """Every member that takes an address, given one that must be refused before a task is made."""
    for kind, names in PICTURES.items():
        for name, value in itertools.product(names, _hostile(local=kind in LOCAL)):
            given = [value] if name in _LISTS else value
            yield create(kind, f"{name} at {value!a:.40}", {name: given}, refused=True)
    for kind, name in (("EDITING", "reference_image_url"), ("VIDEO_GENERATION", "webhook_url")):
        for url in _inward():
            yield create(kind, f"{name} at {url!a:.40}", {name: url}, refused=True)


def _hostile(*, local: bool) -> Iterator[str]:
    yield from (url for url in _inward() if "//" in url and not (local and url.startswith(("file:", "//"))))
    yield from LOCAL_REFUSED
    yield from (path for path in REFUSED if not local or not path.startswith("/"))


def _inward() -> Iterator[str]:
    """Ports are the worker's business."""
    return (url for url in INWARD if not url.endswith((":22/", ":25/", ":6379/")))
