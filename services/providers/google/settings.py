"""Where Google's models are reached, and with what right."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from services.common.errors import ProviderRefused
from services.providers.vendors import VendorSettings

_GEMINI_API = "https://generativelanguage.googleapis.com"
_VERTEX_GLOBAL = "https://aiplatform.googleapis.com"


class GoogleSettings(VendorSettings):
    """Shared by all providers on Google's image models: one account, one breaker.

    Three ways in: VERTEX_KEY alone is a key of the Gemini API; VERTEX_PROJECT is a project on Vertex AI, with
    VERTEX_ACCESS_TOKEN or, in its absence, a token of the machine's metadata server at VERTEX_TOKEN_URL; VERTEX_KEY
    with VERTEX_SURFACE=vertex is a key of Vertex AI in express mode. VERTEX_USER_PROJECT is the project whose quota a
    token uses up, where that is another one. `base_url` is for another host than the documented one.
    `usd_per_picture` is what a picture is taken to cost.
    """

    model_config = SettingsConfigDict(env_prefix="VERTEX_")

    surface: Literal["gemini", "vertex"] | None = None
    """Whether VERTEX_KEY is of the Gemini API or of Vertex AI in express mode."""
    project: str = ""
    """Project on Vertex AI."""
    location: str = "global"
    """Where its models run."""
    access_token: SecretStr | None = None
    """A token for the project; without one the machine's metadata server is asked."""
    user_project: str = ""
    """The project whose quota the token uses up, where that is another one."""
    token_url: str = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
    """The metadata server."""
    api_version: str = ""
    """Version of the API, where it is not the usual one."""
    model: str = "gemini-3-pro-image"
    """The model that is asked."""
    timeout_seconds: float = Field(default=300.0, gt=0)
    """How long one try may take."""
    usd_per_picture: float | None = Field(default=None, ge=0)
    """What a picture is taken to cost."""

    @model_validator(mode="after")
    def _check_surface(self) -> Self:
        if self.surface == "gemini" and self.project:
            raise ValueError("VERTEX_PROJECT is of no use with VERTEX_SURFACE=gemini")
        return self

    @property
    def token(self) -> str:
        return self.access_token.get_secret_value() if self.access_token is not None else ""

    @property
    def on_vertex(self) -> bool:
        return bool(self.project) or self.surface == "vertex"

    def address(self, model: str) -> str:
        """Where `model` is asked."""
        if not self.on_vertex:
            return f"{self.base_url or _GEMINI_API}/{self.api_version or 'v1beta'}/models/{model}:generateContent"
        place = f"projects/{self.project}/locations/{self.location}/" if self.project else ""
        path = f"{self.api_version or 'v1'}/{place}publishers/google/models/{model}:generateContent"
        return f"{self.base_url or self._vertex_host}/{path}"

    @property
    def _vertex_host(self) -> str:
        if not self.project or self.location == "global":
            return _VERTEX_GLOBAL
        if self.location in ("us", "eu"):
            return f"https://aiplatform.{self.location}.rep.googleapis.com"
        return f"https://{self.location}-aiplatform.googleapis.com"

    def require_access(self, provider: str) -> None:
        """Raises ProviderRefused: PROVIDER_NOT_CONFIGURED, naming the settings."""
        if not self.secret and not self.project:
            message = f"{provider} needs the setting VERTEX_KEY, or VERTEX_PROJECT with a token"
            raise ProviderRefused(message, reason="PROVIDER_NOT_CONFIGURED")
