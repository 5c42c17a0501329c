"""Recipes of files that a model made from parameters of the caller's own, whatever these hold."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from services.inference.generation_facts import model_facts
from services.inference.provenance import DigitalSource
from services.providers.capabilities.free_calls import FreeAnswer, FreeCall, MadeFile
from services.providers.ports import ModelCard

# Addresses may let whoever has them in, and pictures inside a request are the caller's: their hash tells which it was.
_ADDRESS = re.compile(r'[a-z][a-z0-9+.-]*://[^\s"]+|data:[^\s,]*,[^\s"]*', re.IGNORECASE)
_WEIGHTS = re.compile(r"\.(safetensors|ckpt|bin|pt)($|[?#])")
_SECRET = ("key", "token", "secret", "password", "credential", "credentials", "authorization", "cookie")
# Characters; what is longer is hardly words.
_LONGEST_TEXT = 8_000
_LARGEST = 32_000


def free_recipe(asked: FreeCall, answer: FreeAnswer, file: MadeFile) -> dict[str, Any]:
    """What is needed to make the file again, but for secrets and the caller's own files."""
    told = answer.output.get("seed", asked.parameters.get("seed"))
    parameters = _told(asked.parameters)
    text = json.dumps(parameters, sort_keys=True)
    return {
        "model": model_facts(ModelCard(asked.app, "", "")),
        "seed": told if isinstance(told, int) else None,
        "parameters": parameters if len(text) <= _LARGEST else _hash(text),
        "provider_request_id": answer.request_id,
        "place_in_answer": file.pointer,
    }


def source_of(asked: FreeCall) -> DigitalSource:
    """A model that was given a file has drawn over it, as far as anybody can tell."""
    given = _ADDRESS.findall(json.dumps(asked.parameters, ensure_ascii=False))
    drawn_over = any(not _WEIGHTS.search(address) for address in given)
    return DigitalSource.COMPOSITE if drawn_over else DigitalSource.GENERATED


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _told(item) for name, item in value.items() if not name.lower().endswith(_SECRET)}
    if isinstance(value, list):
        return [_told(item) for item in value]
    if isinstance(value, str):
        return _hash(value) if len(value) > _LONGEST_TEXT else _ADDRESS.sub(lambda found: _hash(found[0]), value)
    return value


def _hash(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
