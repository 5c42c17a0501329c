"""docs/settings.md names every setting of every process, as it is read."""

from __future__ import annotations

import re
from collections import Counter
from importlib import import_module
from pkgutil import walk_packages

import pytest
from pydantic_settings import BaseSettings

import gateway
import services
from deploy.local import settings_table
from deploy.local.settings_table import Setting
from gateway.settings import GatewaySettings
from services.providers.chat.ollama import OllamaSettings
from services.providers.fal import Settings as FalSettings

ROWS = [row for _, _, rows in settings_table.sections() for row in rows]


def variables(rows: list[Setting]) -> set[str]:
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.variable)}


def test_the_page_is_what_the_classes_say() -> None:
    assert settings_table.PAGE.read_text() == settings_table.render()


def test_every_setting_says_what_it_does() -> None:
    assert [row.variable for row in ROWS if len(row.description) < 10] == []


def test_no_class_that_reads_the_environment_is_left_out() -> None:
    for package in (gateway, services):
        for info in walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__"):
                import_module(info.name)
    found, waiting = set[type](), [BaseSettings]
    while waiting:
        below = [kind for kind in waiting.pop().__subclasses__() if kind.__module__.startswith(("gateway", "services"))]
        found |= set(below)
        waiting += below
    inherited = {base for kind in found for base in kind.__mro__[1:]}
    assert set(settings_table.settings_classes()) == found - inherited


def test_what_is_named_is_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    named = variables(ROWS)
    for variable, value in {
        "CORS_ORIGINS": "https://a.example", "INTERNAL_TOKEN": "t", "FAL_TEXT_APP": "a/b", "FAL_TRIES": "7",
        "OLLAMA_URL": "http://o",
    }.items():  # fmt: skip
        assert variable in named
        monkeypatch.setenv(variable, value)
    read = GatewaySettings()
    assert read.origins == ["https://a.example"]
    assert (FalSettings().text_app, FalSettings().tries, OllamaSettings().base_url) == ("a/b", 7, "http://o")


def test_what_is_named_of_the_models_is_what_they_read() -> None:
    matting = (settings_table._RUNTIME / "matting" / "settings.py").read_text()
    named = {name for name in variables(ROWS) if name.startswith("MATTE_")}
    assert named == set(re.findall(r"MATTE_\w+", matting))


def test_no_secret_is_shown_on_the_page() -> None:
    secrets = [row for row in ROWS if re.search(r"KEY|TOKEN`|SECRET", row.variable) and "HEADER" not in row.variable]
    assert len(secrets) > 5
    assert {row.default for row in secrets} <= {"unset", "required"}


def test_no_validator_takes_the_place_of_another_of_its_name() -> None:
    """As pydantic has it for classes below: what is named by commas would be refused."""
    for kind in settings_table.settings_classes():
        validators = kind.__pydantic_decorators__.field_validators
        owners = Counter(name for base in kind.__mro__ for name in validators.keys() & vars(base).keys())
        assert [name for name, count in owners.items() if count > 1] == [], kind
