"""Every outside vendor at once, and the settings that lead to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.fakes.vendors.anthropic import Anthropic
from tests.fakes.vendors.fal import Fal
from tests.fakes.vendors.fashn import Fashn
from tests.fakes.vendors.gemini import Gemini
from tests.fakes.vendors.gemini_text import GeminiText
from tests.fakes.vendors.magnific import Magnific
from tests.fakes.vendors.ollama import Ollama
from tests.fakes.vendors.openai import OpenAi
from tests.fakes.vendors.wire import serving

KEY = "key-of-a-test"
MODEL = "model-of-a-test"
GARMENT_APP, REFINER_APP = "acme/garment-fixer", "acme/refiner"
_CHATTING = ("openai", "anthropic", "gemini", "ollama")


@dataclass
class Vendors:
    """`environment` is what a worker needs to be told; its providers are then all configured."""

    openai: OpenAi = field(default_factory=lambda: OpenAi(key=KEY, models=[MODEL]))
    anthropic: Anthropic = field(default_factory=lambda: Anthropic(key=KEY, models=[MODEL]))
    gemini: GeminiText = field(default_factory=lambda: GeminiText(key=KEY, models=[MODEL]))
    ollama: Ollama = field(default_factory=lambda: Ollama(models=[MODEL]))
    fal: Fal = field(default_factory=lambda: Fal(key=KEY))
    fashn: Fashn = field(default_factory=lambda: Fashn(key=KEY))
    magnific: Magnific = field(default_factory=lambda: Magnific(key=KEY))
    google: Gemini = field(default_factory=lambda: Gemini(key=KEY))
    environment: dict[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Vendors]:
        async with AsyncExitStack() as stack:
            for name in _CHATTING:
                url = await stack.enter_async_context(serving(getattr(self, name)))
                self.environment |= settings_of(name, url)
            painting: dict[str, Fal | Fashn | Magnific | Gemini] = {
                "fal": self.fal,
                "fashn": self.fashn,
                "magnific": self.magnific,
                "google": self.google,
            }
            for name, fake in painting.items():
                await stack.enter_async_context(fake.open())
                self.environment |= settings_of(name, fake.url)
            hosts = (urlsplit(fake.url).netloc for fake in painting.values())
            self.environment["ALLOW_PRIVATE_URLS"] = ",".join(hosts)
            yield self


def settings_of(vendor: str, url: str) -> dict[str, str]:
    """What its key, its address and its model are called; pauses are short."""
    match vendor:
        case "openai":
            return {"OPENAI_API_KEY": KEY, "OPENAI_MODEL": MODEL, "OPENAI_BASE_URL": f"{url}/v1"}
        case "anthropic":
            return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_MODEL": MODEL, "ANTHROPIC_BASE_URL": url}
        case "gemini":
            return {"GEMINI_API_KEY": KEY, "GEMINI_MODEL": MODEL, "GEMINI_BASE_URL": f"{url}/v1beta"}
        case "ollama":
            return {"OLLAMA_URL": url, "OLLAMA_MODEL": MODEL}
        case "fal":
            apps = {"FAL_GARMENT_FIXER_APP": GARMENT_APP, "FAL_SHOOTIFY_REFINER_APP": REFINER_APP}
            platform = {"FAL_PLATFORM_URL": f"{url}/platform/v1", "FAL_POLL_SECONDS": "0.02"}
            return {"FAL_KEY": KEY, "FAL_BASE_URL": url, **platform, **apps}
        case "fashn":
            return {"FASHN_KEY": KEY, "FASHN_BASE_URL": url, "FASHN_POLL_SECONDS": "0.02"}
        case "magnific":
            return {"FREEPIK_KEY": KEY, "FREEPIK_BASE_URL": url, "FREEPIK_POLL_SECONDS": "0.02"}
        case "google":
            return {"VERTEX_KEY": KEY, "VERTEX_BASE_URL": url}
        case _:
            raise LookupError(vendor)


def away_from(address: str) -> dict[str, str]:
    """Settings of a worker all of whose providers are at `address`, where nobody is; asked once each."""
    found = {"TRITON_TARGET": address}
    for vendor in (*_CHATTING, "fal", "fashn", "magnific", "google"):
        found |= settings_of(vendor, f"http://{address}")
    return found | {f"{prefix}_TRIES": "1" for prefix in ("FAL", "FASHN", "FREEPIK", "VERTEX")}
