"""Multipart forms as RFC 2046 allows them and clients send them, whole and a byte at a time."""

from __future__ import annotations

import pytest
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.types import Message

from gateway.edge.uploads import file_chunks
from services.common.errors import InvalidRequest

DISPOSITION = 'form-data; name="file"; filename="a.png"'


def form(
    boundary: str, *, before: str = "", after: str = "\r\n", data: str = "DATA", disposition: str = DISPOSITION
) -> bytes:
    part = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n{data}\r\n--{boundary}--"
    return f"{before}{part}{after}".encode()


async def read(kind: str, body: bytes, step: int) -> bytes:
    parts = [body[start : start + step] for start in range(0, len(body), step)]

    async def receive() -> Message:
        part = parts.pop(0) if parts else b""
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    headers = [(b"content-type", kind.encode())]
    asked = Request({"type": "http", "method": "POST", "headers": headers, "heads": dict(headers)}, receive)
    return b"".join([chunk async for chunk in file_chunks(asked)])


@pytest.mark.field("multipart-preamble")
@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("boundary", "body"),
    [
        ("x", form("x")),
        ("x", form("x", after="")),
        ("x", form("x", before="This is a message with several parts.\r\n")),
        ("x", form("x", before="\r\n")),
        ("xyz", form("xyz", before="--xy\r\n--\r\n--xyzz\r\n--xyz and so on\r\nfoo --xyz\r\n")),
        ("xyz", form("xyz", before="-" * 5_000 + "\r\n")),
        ("x", form("x", after="\r\nan epilogue\r\n--x\r\nand more")),
        ('"a b:c/d=e?f"', form("a b:c/d=e?f")),
        ("'()+_,-./", form("'()+_,-./")),
        ("b" * 70, form("b" * 70)),
        ("----WebKitFormBoundary", form("----WebKitFormBoundary")),
        ('"a\\"b"', form('a"b')),
        ("x; charset=utf-8", form("x")),
        ("x", form("x", disposition="Form-Data; NAME=file; filename*=UTF-8''%e2%82%ac.png")),
    ],
)
async def test_a_form_is_read_however_it_is_written(boundary: str, body: bytes, step: int) -> None:
    for kind in ("multipart/form-data; boundary=", "Multipart/Form-Data;BOUNDARY="):
        assert await read(kind + boundary, body, step) == b"DATA"


@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_what_looks_like_a_boundary_within_the_file_is_the_files(step: int) -> None:
    data = "A\r\n--xy\r\n--\r\n-x\r\n"
    assert await read("multipart/form-data; boundary=x-y", form("x-y", data=data), step) == data.encode()


@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize("body", [form("y"), form("x").replace(b"\r\n", b"\n"), form("x", after="")[:-4], b"--x"])
async def test_a_form_that_is_broken_is_named_so(body: bytes, step: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await read("multipart/form-data; boundary=x", body, step)
    assert caught.value.reason == "FORM_INVALID"


async def test_an_empty_body_lacks_its_file() -> None:
    with pytest.raises(RequestValidationError):
        await read("multipart/form-data; boundary=x", b"", 10)
