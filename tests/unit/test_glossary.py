"""The glossary names what exists, in one term for each concept; the words it replaced do not come back."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "gateway", "deploy/local")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
SPANS = tuple(dict.fromkeys(re.findall(r"`([^`]+)`", GLOSSARY)))
# The class that each of these was, and the term that took its place.
RETIRED = {
    "Askings": "FallbackChain",
    "Aftermath": "CompletionHook",
    "Beats": "HeartbeatReceiver",
    "Book": "CallLedger",
    "Border": "AuthMiddleware",
    "Brush": "Redrawer",
    "Courier": "DeliveryTransport",
    "DecoderEye": "ImageProbe",
    "Desk": "ProviderContext",
    "Door": "ConnectionLimiter",
    "Doors": "RouteAccessTable",
    "Gate": "AdmissionControl",
    "Gates": "AccountLimiter",
    "Keeper": "ProcessSupervisor",
    "Lane": "BatchWriter",
    "LeaseBook": "LeaseTable",
    "Occasion": "WebhookNotice",
    "RecordedCall": "RecordedProviderCall",
    "Roster": "WorkerRegistry",
    "Surroundings": "WorkerResources",
    "Tale": "RemovalDetails",
    "Tidying": "OrphanReaper",
    "Tries": "ProviderRetries",
    "Wish": "RedrawRequest",
}


def classes() -> dict[str, list[str]]:
    """Those at the top of their modules: where each stands."""
    found: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    found.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    return found


CLASSES = classes()


@pytest.mark.parametrize("name", [span for span in SPANS if re.fullmatch(r"[A-Z]\w+", span)])
def test_what_the_glossary_names_is_a_class(name: str) -> None:
    assert name in CLASSES


def test_each_term_stands_once_and_groups_are_in_the_alphabets_order() -> None:
    groups = [re.findall(r"^\| (?!term|---)([^|]+) \|", part, re.MULTILINE) for part in GLOSSARY.split("\n## ")[1:]]
    terms = [term for group in groups for term in group]
    assert len(terms) == len(set(terms)) > 60
    for group in groups:
        assert group == sorted(group, key=lambda term: term.replace("-", " "))


@pytest.mark.parametrize("word", RETIRED)
def test_a_retired_word_names_no_class(word: str) -> None:
    assert word not in CLASSES, f"{word} is {RETIRED[word]} now: {CLASSES[word]}"


def test_a_class_name_says_which_class_it_is() -> None:
    """Two have one name where that is how they are found: the settings of each provider's module."""
    twice = {name: sorted(set(paths)) for name, paths in CLASSES.items() if len(paths) > 1}
    providers = twice.pop("Settings")
    assert all(path.startswith("services/providers/") for path in providers)
    assert twice == {}
