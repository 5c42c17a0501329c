"""Content Credentials (C2PA): a result says how it came about in a manifest that the operator's certificate signs.

https://spec.c2pa.org/; the digital source type is the one that stands in the file's XMP, beside which this comes.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import ModuleType

import structlog
from PIL import Image

from services.imaging.recipes import read_recipe
from services.imaging.sniffing import HEAD_BYTES, content_type_of
from services.inference.provenance import DigitalSource, software

log = structlog.get_logger()
SIGNED = frozenset({"image/png", "image/jpeg", "image/webp", "video/mp4"})
_UNSUITABLE = "C2PA_KEY: an unencrypted key in PEM: EC of P-256, P-384 or P-521, Ed25519, or RSA"


class ContentSigner:
    """Signs files of the kinds it knows; for a thread."""

    def __init__(self, chain: bytes, key: bytes) -> None:
        """In PEM: the signer's certificate, then those up to the root; its private key.

        Raises:
            SystemExit: the library is not installed, or the two cannot sign.
        """
        try:
            import c2pa
        except ImportError as error:
            raise SystemExit(
                "C2PA_CERTIFICATE asks for signatures, which need the packages of deploy/requirements/credentials.txt"
            ) from error
        self._library: ModuleType = c2pa
        self._info = c2pa.C2paSignerInfo(_algorithm(key), chain, key, None)
        # Their preview of the picture is up to twenty times as large as the rest of the manifest.
        self._context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
        try:
            # Only a signature shows whether the two belong together and are as C2PA wants them.
            self._sign(_smallest(), "image/png", DigitalSource.GENERATED.uri)
        except c2pa.C2paError as error:
            raise SystemExit(f"C2PA_CERTIFICATE and C2PA_KEY cannot sign: {error}") from error

    @classmethod
    def load(cls, certificate: Path, key: Path) -> ContentSigner:
        """Raises SystemExit for files that cannot be read, and as above."""
        try:
            return cls(certificate.read_bytes(), key.read_bytes())
        except OSError as error:
            raise SystemExit(f"C2PA_CERTIFICATE, C2PA_KEY: {error}") from error

    def signed(self, content: bytes) -> bytes:
        """With a manifest, where the file says how it came about; else, and where it cannot be signed, as it is."""
        kind = content_type_of(content[:HEAD_BYTES])
        source = (read_recipe(content) or {}).get("digital_source_type") if kind in SIGNED else None
        if not isinstance(source, str):
            return content
        try:
            return self._sign(content, kind, source)
        except self._library.C2paError as error:
            # What an app made need not be as the formats' documents say; it is paid for.
            log.warning("a result is left unsigned", kind=kind, error=str(error)[:200])
            return content

    def _sign(self, content: bytes, kind: str, source: str) -> bytes:
        target = io.BytesIO()
        builder = self._library.Builder(_manifest(source), context=self._context)
        with self._library.Signer.from_info(self._info) as signer:
            builder.sign(signer, kind, io.BytesIO(content), target)
        return target.getvalue()


def _smallest() -> bytes:
    target = io.BytesIO()
    Image.new("L", (1, 1)).save(target, "PNG")
    return target.getvalue()


def _manifest(source: str) -> str:
    name, _, version = software().partition(" ")
    action = {"action": "c2pa.created", "digitalSourceType": source}
    return json.dumps(
        {
            "claim_generator_info": [{"name": name, "version": version}],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }
    )


def _algorithm(key: bytes) -> bytes:
    """The one that goes with the key. Raises SystemExit."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise SystemExit(_UNSUITABLE) from error
    if isinstance(found, ec.EllipticCurvePrivateKey):
        name = {256: b"es256", 384: b"es384", 521: b"es512"}.get(found.key_size)
    elif isinstance(found, ed25519.Ed25519PrivateKey):
        name = b"ed25519"
    else:
        name = b"ps256" if isinstance(found, rsa.RSAPrivateKey) else None
    if name is None:
        raise SystemExit(_UNSUITABLE)
    return name
