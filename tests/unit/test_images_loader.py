"""Every way to name a picture, and what each failure is called."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from services.common.errors import ComputeError, InvalidRequest, NotFound, PayloadTooLarge
from services.imaging.encoding import encode
from services.imaging.formats import ACCEPTED
from services.imaging.loader import ImageLoader, ImageSettings, open_loader
from services.imaging.sniffing import UNKNOWN, content_type_of
from services.imaging.sources import SourceKind, tell_apart

pytestmark = pytest.mark.asyncio(loop_scope="module")
PIXELS = np.arange(16 * 12 * 4, dtype=np.uint32).astype(np.uint8).reshape(12, 16, 4)
PNG = encode(PIXELS)
BASE64 = base64.b64encode(PNG).decode()
LIMIT = 100_000


class Shelf:
    """A storage of one object."""

    async def read(self, path: str, *, tenant: str, limit: int) -> bytes:
        if path == "large.png":
            raise PayloadTooLarge("too large", reason="OBJECT_TOO_LARGE")
        if (path, tenant) != ("a/picture.png", "acme"):
            raise NotFound("there is no such object")
        return PNG


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readuntil(b"\r\n\r\n")
    body = PNG if request.startswith(b"GET /picture") else b"x" * (LIMIT + 1)
    status = "404 Not Found" if request.startswith(b"GET /gone") else "200 OK"
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port() -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loader(port: int) -> AsyncIterator[ImageLoader]:
    settings = ImageSettings(
        max_image_bytes=LIMIT,
        max_image_pixels=10_000,
        image_workers=1,
        allow_private_urls=frozenset({f"127.0.0.1:{port}"}),
    )
    async with open_loader(settings, Shelf()) as opened:
        yield opened


async def refusal(loader: ImageLoader, source: str, tenant: str = "acme") -> str:
    with pytest.raises(ComputeError) as caught:
        await loader.load(source, tenant=tenant)
    return caught.value.reason


@pytest.mark.parametrize(
    "source",
    [
        BASE64,
        BASE64.rstrip("="),
        BASE64.replace("+", "-").replace("/", "_"),
        "\n".join(BASE64[start : start + 76] for start in range(0, len(BASE64), 76)),
        f"  {BASE64}\r\n",
        f"data:image/png;base64,{BASE64}",
        f"DATA:image/png;charset=utf-8;BASE64,{BASE64}",
        f"data:;base64,{BASE64}",
        "data:image/jpeg;base64," + BASE64.replace("+", "%2B").replace("/", "%2F"),
        "a/picture.png",
    ],
)
async def test_a_picture_is_the_same_however_it_is_named(loader: ImageLoader, source: str) -> None:
    picture = await loader.load(source, tenant="acme")
    assert np.array_equal(picture.pixels, PIXELS)


async def test_a_picture_is_fetched_from_an_allowed_server(loader: ImageLoader, port: int) -> None:
    picture = await loader.load(f"http://127.0.0.1:{port}/picture", tenant="acme")
    assert np.array_equal(picture.pixels, PIXELS)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (BASE64[:-30], "IMAGE_INVALID"),
        (BASE64[:101], "BASE64_INVALID"),
        (BASE64[:300] + "!" + BASE64[301:], "BASE64_INVALID"),
        (BASE64[:60], "IMAGE_INVALID"),
        ("A" * 600 + "*", "BASE64_INVALID"),
        ("é" * 600, "BASE64_INVALID"),
        ("=" * 600, "BASE64_INVALID"),
        ("A" * 600, "IMAGE_INVALID"),
        ("A" * 200_000, "IMAGE_TOO_LARGE"),
        ("data:image/png;base64,", "BASE64_INVALID"),
        ("data:image/png;base64,***", "BASE64_INVALID"),
        ("data:image/png,abc", "BASE64_INVALID"),
        ("data:text/plain;base64,aGVsbG8=", "IMAGE_INVALID"),
        ("data:,", "BASE64_INVALID"),
        ("http://127.0.0.1:1/x.png", "URL_NOT_ALLOWED"),
        ("http://169.254.169.254/", "URL_NOT_ALLOWED"),
        ("HTTPS://localhost/", "URL_NOT_ALLOWED"),
        ("file:///etc/passwd", "URL_NOT_ALLOWED"),
        ("file:/etc/passwd", "URL_NOT_ALLOWED"),
        ("ftp://example.com/x.png", "URL_NOT_ALLOWED"),
        ("s3://bucket/key", "URL_NOT_ALLOWED"),
        ("no/such.png", "NOT_FOUND"),
        ("aGVsbG8=", "NOT_FOUND"),
        ("large.png", "IMAGE_TOO_LARGE"),
        (base64.b64encode(encode(np.zeros((101, 100, 3), np.uint8))).decode(), "IMAGE_TOO_MANY_PIXELS"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_its_reason(loader: ImageLoader, source: str, reason: str) -> None:
    assert await refusal(loader, source) == reason


async def test_a_refusal_names_the_picture_it_speaks_of(loader: ImageLoader, port: int) -> None:
    url = f"http://127.0.0.1:{port}/gone?token=secret"
    told = {"no/such.png": "there is no object 'no/such.png'", url: "127.0.0.1: the server answered 404"}
    for source, words in told.items():
        with pytest.raises(ComputeError) as caught:
            await loader.load(source, tenant="acme")
        assert caught.value.message == words


FILES = {
    b'<svg xmlns="http://www.w3.org/2000/svg"/>': "image/svg+xml",
    b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg width="1"/>': "image/svg+xml",
    b"\xef\xbb\xbf<svg/>": "image/svg+xml",
    '<svg a="ü"/>'.encode("utf-16"): "image/svg+xml",
    b"<!DOCTYPE html><p>gone": "text/html",
    b"%PDF-1.7\n1 0 obj <<>> endobj": "application/pdf",
    b"PK\3\4" + bytes(26): "application/zip",
    b"\x1f\x8b\x08" + bytes(20): "application/gzip",
    b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom": "video/mp4",
    b"8BPS\0\1" + bytes(20): "image/vnd.adobe.photoshop",
    b"\0\0\1\0\1\0" + bytes(500): "image/x-icon",
    b"RIFF\0\0\0\0AVI " + bytes(500): "video/x-msvideo",
    b"one of the lines of a text. " * 30: "text/plain",
}


@pytest.mark.field("base64-of-svg")
@pytest.mark.parametrize("prefix", ["", "data:image/svg+xml;base64,", "data:;base64,"])
@pytest.mark.parametrize("content", FILES)
async def test_what_is_no_picture_is_named_for_what_it_is(loader: ImageLoader, content: bytes, prefix: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await loader.load(prefix + base64.b64encode(content).decode(), tenant="acme")
    told = f"{FILES[content]} is not taken as a picture; pictures are taken as {ACCEPTED}"
    assert (caught.value.reason, caught.value.message) == ("IMAGE_INVALID", told)


async def test_a_drawing_in_a_data_url_of_text_is_told_what_is_taken(loader: ImageLoader) -> None:
    with pytest.raises(InvalidRequest, match=ACCEPTED):
        await loader.load("data:image/svg+xml;utf8,<svg/>", tenant="acme")


async def test_where_nothing_is_a_text_in_base64_is_told_too(loader: ImageLoader) -> None:
    for content, words in ((b"some few words", "text/plain"), (b"%!PS-Adobe-3.0", "application/postscript")):
        path = base64.b64encode(content).decode()
        with pytest.raises(NotFound) as caught:
            await loader.load(path, tenant="acme")
        told = f"there is no object {path!r}; as base64 it would be {words}, and pictures are taken as {ACCEPTED}"
        assert caught.value.message == told


async def test_another_tenants_path_is_unknown(loader: ImageLoader) -> None:
    assert await refusal(loader, "a/picture.png", tenant="other") == "NOT_FOUND"


async def test_an_answer_beyond_the_limit_is_refused(loader: ImageLoader, port: int) -> None:
    assert await refusal(loader, f"http://127.0.0.1:{port}/large") == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("generations/1/picture.png", SourceKind.PATH),
        ("abcd", SourceKind.PATH),
        ("iVBORw0KGgo.png", SourceKind.PATH),
        ("Qk/picture", SourceKind.PATH),
        ("a:b/c.png", SourceKind.PATH),
        ("https://example.com/x", SourceKind.URL),
        ("data:whatever", SourceKind.DATA_URL),
        ("/9j/4AAQSkZJRgABAQAAAQABAAD/", SourceKind.BASE64),
        ("iVBORw0KGgoAAAANSUhEUgAA", SourceKind.BASE64),
        ("x" * 513, SourceKind.BASE64),
    ],
)
async def test_the_ways_are_told_apart(text: str, kind: SourceKind) -> None:
    assert tell_apart(text).kind is kind


async def test_settings_take_lists_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_PRIVATE_URLS", "127.0.0.1:9000, minio:9000")
    monkeypatch.setenv("ALLOWED_URL_PORTS", "443")
    settings = ImageSettings()
    assert settings.allow_private_urls == {"127.0.0.1:9000", "minio:9000"}
    assert settings.allowed_url_ports == {443}


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
async def test_pixels_are_encoded_and_come_back(form: str, channels: int) -> None:
    gradient = np.linspace(0, 255, 64 * 48).astype(np.uint8).reshape(48, 64)
    pixels = np.stack([gradient] * 3 + [np.full_like(gradient, 255)], axis=-1)[..., :channels]
    content = encode(pixels, form)  # type: ignore[arg-type]
    assert content_type_of(content) == f"image/{form.lower()}"
    with Image.open(io.BytesIO(content)) as picture:
        back = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(back - pixels[..., :3]).max() <= (0 if form == "PNG" else 12)


async def test_transparent_pixels_become_white_in_a_jpeg() -> None:
    with Image.open(io.BytesIO(encode(np.zeros((16, 16, 4), np.uint8), "JPEG"))) as picture:
        assert np.asarray(picture).min() > 250


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3)), np.zeros(4, np.uint8)])
async def test_what_is_no_picture_is_not_encoded(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not uint8"):
        encode(pixels)


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (b"<svg onload=alert(1)>", UNKNOWN),
        (b"<html>", UNKNOWN),
        (b"BM is how this text begins, but it is no bitmap", UNKNOWN),
        (b'\x08\x00\x00\x00\x00\x00\x00\x00{"a": {}', "application/x-safetensors"),
        (b"\x00\x00\x00\x18ftypisom", "video/mp4"),
        (b"RIFF\x00\x00\x00\x00WAVE", UNKNOWN),
        (b"", UNKNOWN),
    ],
)
async def test_content_is_known_by_its_first_bytes(head: bytes, content_type: str) -> None:
    assert content_type_of(head) == content_type
