"""What NATS believes: JSON Web Tokens signed with nkeys (Ed25519), and the credentials files made of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import nkeys

_SEED_BYTES = 32
_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}


class Kind(IntEnum):
    """What a key stands for; its text begins with S and the letter of its kind."""

    OPERATOR = nkeys.PREFIX_BYTE_OPERATOR
    ACCOUNT = nkeys.PREFIX_BYTE_ACCOUNT
    USER = nkeys.PREFIX_BYTE_USER


class Key:
    """A pair of keys; `seed` is the secret it follows from."""

    def __init__(self, seed: str) -> None:
        """Raises ValueError for what is no seed."""
        try:
            self._pair = nkeys.from_seed(seed.encode())
        except nkeys.NkeysError as error:
            raise ValueError("not the seed of an nkey") from error
        self.seed = seed
        self.public: str = self._pair.public_key.decode()

    def __repr__(self) -> str:
        return f"Key({self.public})"

    @classmethod
    def new(cls, kind: Kind) -> Key:
        return cls(_encoded(secrets.token_bytes(_SEED_BYTES), kind))

    def derive(self, label: str, kind: Kind) -> Key:
        """Another key that follows from this one, the same for ever: it need not be kept anywhere."""
        _, raw = nkeys.decode_seed(self.seed.encode())
        return Key(_encoded(hmac.digest(raw, label.encode(), "sha256"), kind))

    def sign(self, subject: str, name: str, claims: Mapping[str, Any]) -> str:
        """A token in which this key says `claims` of the public key `subject`."""
        body = {"iat": int(time.time()), "iss": self.public, "sub": subject, "name": name, "nats": dict(claims)}
        body["jti"] = base64.b32encode(hashlib.sha256(_json(body)).digest()).decode().rstrip("=")
        signed = f"{_base64(_json(_HEADER))}.{_base64(_json(body))}"
        return f"{signed}.{_base64(self._pair.sign(signed.encode()))}"


def credentials_file(token: str, user: Key) -> str:
    """The text every NATS client and tool reads as credentials."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )


def _encoded(raw: bytes, kind: Kind) -> str:
    encoded: bytes = nkeys.encode_seed(raw, kind)
    return encoded.decode()


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
