"""The files a deployment's NATS stands on: the operator's key, the services' credentials, the server's settings."""

from __future__ import annotations

import os
from pathlib import Path

from services.access.claims import Key, Kind
from services.access.nats_accounts import NatsAccounts

OPERATOR, SERVICES, SERVER = "operator.nk", "services.creds", "accounts.conf"


def write_setup(folder: Path) -> NatsAccounts:
    """Makes the files; the operator's key only where there is none, as every account follows from it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / OPERATOR).exists():
        _write(folder / OPERATOR, f"{Key.new(Kind.OPERATOR).seed}\n")
    accounts = NatsAccounts(read_operator(folder / OPERATOR))
    _write(folder / SERVICES, accounts.services_credentials())
    _write(folder / SERVER, accounts.server_settings())
    return accounts


def read_operator(file: Path) -> Key:
    """Raises ValueError, which never quotes the file, and OSError."""
    key = Key(file.read_text().strip())
    if not key.public.startswith("O"):
        raise ValueError(f"{file} holds no operator's key")
    return key


def _write(file: Path, text: str) -> None:
    """For its owner's eyes only, and at once: whoever reconnects reads it again."""
    fresh = file.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(text)
    fresh.replace(file)
