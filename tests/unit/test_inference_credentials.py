"""Results that are signed as Content Credentials, judged by the library's own reader; no certificate, no signature."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image
from pydantic import ValidationError

from services.imaging.recipes import read_recipe
from services.inference.app import signer_of
from services.inference.context import Outputs
from services.inference.credentials import ContentSigner
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource, mark
from services.inference.settings import WorkerSettings
from tests.fakes.objects import FakeObjects
from tests.unit.test_images_carriers import decoded, film

PIXELS = np.random.default_rng(1).integers(0, 255, (64, 96, 3), np.uint8)
RECIPE = {"prompt": "a red mug"}
KEYS: dict[str, Callable[[], Any]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


@dataclass(frozen=True)
class Identity:
    """A signer's chain and key, and the root that it is trusted by."""

    chain: bytes
    key: bytes
    root: bytes


def identity(kind: str = "P-256") -> Identity:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), KEYS[kind]()
    root = certificate("root", root_key.public_key(), root_key, "root", is_root=True)
    signer = certificate("signer", key.public_key(), root_key, "root", is_root=False)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Identity(signer.public_bytes(pem) + root.public_bytes(pem), private, root.public_bytes(pem))


def certificate(name: str, public: Any, issuer_key: Any, issuer: str, *, is_root: bool) -> x509.Certificate:
    """As C2PA asks for them: the signer's is for documents (e-mail protection stands for them) and nothing else."""
    now = datetime.now(UTC)
    names = [
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"), x509.NameAttribute(NameOID.COMMON_NAME, of)])
        for of in (name, issuer)
    ]
    uses = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    uses |= {"encipher_only": False, "decipher_only": False, "crl_sign": is_root, "key_cert_sign": is_root}
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder(names[1], names[0], public, x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_root, None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not is_root, **uses), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(authority, critical=False)
    )
    if not is_root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def ours() -> Identity:
    return identity()


@pytest.fixture(scope="module")
def signer(ours: Identity) -> ContentSigner:
    return ContentSigner(ours.chain, ours.key)


def saved(kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(PIXELS).save(target, kind, **options)
    return target.getvalue()


def marked(content: bytes, source: DigitalSource | None = DigitalSource.GENERATED) -> bytes:
    parts, beside = mark(content, RECIPE, source)
    assert beside is None
    return b"".join(parts)


def as_png(source: DigitalSource | None = DigitalSource.GENERATED) -> bytes:
    return encode_png(PIXELS, RECIPE, source=source)


FILES: dict[str, Callable[[], bytes]] = {
    "image/png": as_png,
    "image/jpeg": lambda: marked(saved("JPEG", quality=90)),
    "image/webp": lambda: marked(saved("WEBP", lossless=True)),
    "video/mp4": lambda: marked(film("-movflags", "faststart")),
}
PICTURES = [kind for kind in FILES if kind != "video/mp4"]


def read(content: bytes, kind: str, root: bytes = b"") -> tuple[str, dict[str, Any]]:
    """What the reader says of it, and the manifest."""
    trust = {"trust": {"trust_anchors": root.decode()}} if root else {}
    context = c2pa.Context.from_dict({"verify": {"verify_trust": bool(root)}, **trust})
    told = json.loads(c2pa.Reader(kind, io.BytesIO(content), context=context).json())
    return told["validation_state"], told["manifests"][told["active_manifest"]]


def actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    [assertion] = [one for one in manifest["assertions"] if one["label"].startswith("c2pa.actions")]
    return list(assertion["data"]["actions"])


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("source", DigitalSource)
def test_a_result_says_signed_how_it_came_about(
    signer: ContentSigner, ours: Identity, kind: str, source: DigitalSource
) -> None:
    content = as_png(source) if kind == "image/png" else marked(saved(kind.partition("/")[2].upper()), source)
    made = signer.signed(content)
    state, manifest = read(made, kind, ours.root)
    assert state == "Trusted"
    assert [(one["action"], one["digitalSourceType"]) for one in actions(manifest)] == [("c2pa.created", source.uri)]
    assert manifest["claim_generator_info"][0]["name"] == "atelier"
    assert len(made) - len(content) < 20_000


def test_a_film_is_signed_and_stays_the_film_it_was(signer: ContentSigner, ours: Identity) -> None:
    content = FILES["video/mp4"]()
    made = signer.signed(content)
    state, manifest = read(made, "video/mp4", ours.root)
    assert state == "Trusted" and actions(manifest)[0]["digitalSourceType"] == DigitalSource.GENERATED.uri
    assert read_recipe(made) == read_recipe(content) is not None
    assert decoded(made) == decoded(content) != b""


@pytest.mark.parametrize("kind", PICTURES)
def test_the_picture_its_recipe_and_its_xmp_stay_as_they_are(signer: ContentSigner, kind: str) -> None:
    content = FILES[kind]()
    made = signer.signed(content)
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(made)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
        assert xmp_of(after) == xmp_of(before) is not None
    assert read_recipe(made) == read_recipe(content) is not None


@pytest.mark.parametrize("kind", FILES)
def test_a_changed_picture_is_told(signer: ContentSigner, kind: str) -> None:
    content = FILES[kind]()
    made = bytearray(signer.signed(content))
    pixels = {"image/png": b"IDAT", "image/jpeg": b"\xff\xda", "image/webp": b"VP8L", "video/mp4": b"mdat"}[kind]
    made[made.rindex(pixels) + 100] ^= 1
    assert read(bytes(made), kind)[0] == "Invalid"


def xmp_of(picture: Image.Image) -> Any:
    return picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp")


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key_that_c2pa_knows_signs(kind: str) -> None:
    theirs = identity(kind)
    made = ContentSigner(theirs.chain, theirs.key).signed(as_png())
    assert read(made, "image/png", theirs.root)[0] == "Trusted"


def test_a_stranger_s_signature_is_valid_and_not_trusted(signer: ContentSigner) -> None:
    assert read(signer.signed(as_png()), "image/png", identity().root)[0] == "Valid"


@pytest.mark.parametrize(
    "content",
    [as_png(None), encode_png(PIXELS), saved("PNG"), saved("GIF"), b"a text", b""],
    ids=["nothing done", "no recipe", "nobody's", "no place", "text", "empty"],
)
def test_what_says_nothing_of_its_origin_stays_as_it_is(signer: ContentSigner, content: bytes) -> None:
    assert signer.signed(content) == content


async def test_results_are_stored_signed_and_without_a_certificate_as_they_were(
    signer: ContentSigner, ours: Identity
) -> None:
    for given, signs in ((signer, True), (None, False)):
        objects = FakeObjects()
        outputs = Outputs("acme", "generations", "t", 1, objects, given)
        drawn = await outputs.save("picture.png", as_png())
        made = await outputs.save_as_made("film.jpg", saved("JPEG"), RECIPE, DigitalSource.GENERATED)
        for path, kind in ((drawn, "image/png"), (made, "image/jpeg")):
            content = objects.kept["acme", path]
            assert (b"c2pa" in content) is signs
            if signs:
                assert read(content, kind, ours.root)[0] == "Trusted"


def settings(**given: Any) -> WorkerSettings:
    return WorkerSettings(internal_token="x", **given)


def test_it_is_off_by_default_and_both_files_are_needed(tmp_path: Path, ours: Identity) -> None:
    assert signer_of(settings()) is None
    with pytest.raises(ValidationError, match="need each other"):
        settings(c2pa_certificate=tmp_path / "chain.pem")
    (tmp_path / "chain.pem").write_bytes(ours.chain)
    given = settings(c2pa_certificate=tmp_path / "chain.pem", c2pa_key=tmp_path / "key.pem")
    with pytest.raises(SystemExit, match="C2PA_KEY"):
        signer_of(given)
    (tmp_path / "key.pem").write_bytes(ours.key)
    assert isinstance(signer_of(given), ContentSigner)


def test_a_key_that_cannot_sign_is_refused_by_name(ours: Identity) -> None:
    other = ec.generate_private_key(ec.SECP192R1())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        pem, form, serialization.BestAvailableEncryption(b"secret")
    )
    for key in (b"no key", locked, other.private_bytes(pem, form, serialization.NoEncryption())):
        with pytest.raises(SystemExit, match="C2PA_KEY"):
            ContentSigner(ours.chain, key)
    for chain, key in ((b"no certificate", ours.key), (ours.chain, identity().key), (ours.root, ours.key)):
        with pytest.raises(SystemExit, match="C2PA_CERTIFICATE"):
            ContentSigner(chain, key)
