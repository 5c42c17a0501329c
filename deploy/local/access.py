"""The development API key: made once by the access service's own command, kept beside the data it opens."""

from __future__ import annotations

import http.client
import os
import subprocess
from collections.abc import Mapping
from urllib.parse import urlsplit

from deploy.local import runfile
from deploy.local.failures import LocalError
from deploy.local.paths import APP_PYTHON, ROOT, StackFolder
from deploy.local.settings import Addresses

_SECONDS = 30.0


def development_key(home: StackFolder, addresses: Addresses, environment: Mapping[str, str]) -> str:
    """The kept key while the gateway takes it, else a new one. Raises LocalError."""
    kept = home.data / "development_key"
    if kept.exists() and _is_taken(addresses.gateway_url, kept.read_text().strip()):
        return kept.read_text().strip()
    kept.unlink(missing_ok=True)
    return runfile.secret(kept, create_key(environment, "demo", "development"))


def create_key(environment: Mapping[str, str], tenant: str, name: str) -> str:
    """Of a tenant's own administrator. Raises LocalError."""
    command = [str(APP_PYTHON), "-m", "services.access", "create-key", "--tenant", tenant, "--name", name]
    made = subprocess.run(
        [*command, "--scope", "tasks", "--scope", "admin"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    if made.returncode:
        raise LocalError(f"no API key could be made:\n{made.stderr.strip()}")
    return made.stdout.strip()


def _is_taken(gateway_url: str, key: str) -> bool:
    parts = urlsplit(gateway_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/api/v1/tasks/?limit=1", headers={"Authorization": f"Bearer {key}"})
        return connection.getresponse().status == 200
    finally:
        connection.close()
