"""The files a deployment's NATS stands on: the operator's key, the services' credentials, the server's settings."""

from __future__ import annotations

import os
from pathlib import Path

from services.access.claims import Key, Kind
from services.access.nats_accounts import NatsAccounts
from services.common.errors import InvalidRequest, NotFound

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
    """Raises NotFound (NATS_OPERATOR_KEY_MISSING) and InvalidRequest (NATS_OPERATOR_KEY_INVALID), quoting nothing."""
    try:
        key = Key(file.read_text().strip())
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror}", reason="NATS_OPERATOR_KEY_MISSING") from error
    except ValueError:
        key = None
    if key is None or not key.public.startswith("O"):
        raise InvalidRequest(f"{file} holds no operator's key", reason="NATS_OPERATOR_KEY_INVALID")
    return key


def _write(file: Path, text: str) -> None:
    """For its owner's eyes only, and at once: whoever reconnects reads it again."""
    fresh = file.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(text)
    fresh.replace(file)
