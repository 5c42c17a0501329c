"""Settings of the access service and its command line."""

from __future__ import annotations

from services.common.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing beyond what all share."""
