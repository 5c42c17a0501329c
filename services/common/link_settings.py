"""The secrets that sign links, for every service that makes some."""

from __future__ import annotations

from pydantic import SecretStr

from services.common.settings import ServiceSettings


class LinkSettings(ServiceSettings):
    link_keys: SecretStr = SecretStr("")
    """Secrets that sign links to stored objects and for approvals, by commas: the first signs, all verify, so a new one
    goes in front and the old one goes once its links have expired (an object's after seven days at most, an approval's
    after thirty). Unset: derived from INTERNAL_TOKEN."""

    @property
    def link_secrets(self) -> list[bytes]:
        given = [part.strip().encode() for part in self.link_keys.get_secret_value().split(",") if part.strip()]
        return given or [self.internal_token.get_secret_value().encode()]
