"""Requests as no client library sends them: broken JSON, odd headers, broken framing, odd targets."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.fuzz.cases import HttpCase, Shoot, http_request, json_request
from tests.fuzz.target import CALLERS_SECRET

KIND = "raw HTTP"
TASKS = "/api/v1/tasks/"
_PATHS = (TASKS, f"{TASKS}generation", f"{TASKS}x", f"{TASKS}x/cancel", f"{TASKS}x/events", "/health", "/docs",
          f"{TASKS}x/resume", f"{TASKS}x/cleanup", f"{TASKS}x/provenance", "/asyncapi.json",
          "/api/v1/webhooks/deliveries", "/api/v1/webhooks/deliveries/x/replay", "/api/v1/webhooks/endpoints/enable",
          "/openapi.json", "/api/v1/storage/images", "/api/v1/storage/images/a.png",
          "/api/v1/nothing", "/")  # fmt: skip
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "X" * 40, "G\x00T")
_ODD = ("", " ", "\x00", "\ud800", "\ufeff", "é" * 400, "x" * 9000, "../..", "%00", "${7*7}", "'; --", "\u202egnp",
        "\t", "-1", "1e999", "0x10", "NaN", "null", "[]", "{}", '"', "\\u0000", "٣", "²")  # fmt: skip
_FIELDS = ("seed", "width", "height", "priority", "prompt", "config", "origin_instance", "webhook_url", "queue_name",
           "reference_image_url", "reference_image_path", "reference_image_strength", "provider_config", "task_type",
           "active_provider_capabilities", "subject_lora_weight", "idempotency_key", "workflow_id", "id")  # fmt: skip
# JSON text, so that what Python cannot write is in it too.
_LITERALS = (b"NaN", b"-Infinity", b"1e400", b"-0", b"1.0", b"9" * 400, b"9" * 5000, b"0.1e-400", b"2e0", b"00",
             b"0x1", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\x00"', b'"\xff\xfe"', b'"\\x"', b"'a'",
             b"True",
             b"nul", b"[" * 5000, b'{"a":' * 3000, b"[" * 200 + b"]" * 200, b"[" + b"1," * 9000 + b"1]", b"[,]",
             b'{"a":1,}',
             b'{"a":1,"a":2}', b'{"":""}', b'{"$where":"1"}', b'{"__proto__":{}}', b'"' + b"a" * 70_000 + b'"',
             b"9007199254740993", b"18446744073709551616", b"-9223372036854775809", b"/**/1", b"", b" ")  # fmt: skip
_HEADERS = ("Authorization", "Content-Type", "Prefer", "Idempotency-Key", "X-Request-ID", "Host", "Range", "If-Range",
            "If-None-Match", "Accept", "Accept-Encoding", "Origin", "Cookie", "Expect", "Upgrade", "Connection", "Via",
            "Transfer-Encoding", "Content-Length", "X-Forwarded-For", "Forwarded", "Atelier-Tenant", "Last-Event-ID",
            "Access-Control-Request-Method", "TE", "Trailer", "X-HTTP-Method-Override")  # fmt: skip
_VALUES = ("", "chunked", "-1", "99999999999999999999", "0", "1", "wait=999999", "wait=-1", 'wait="1"',
           "wait=1, wait=2", "bytes=0-", "bytes=-0", "bytes=9-1", "bytes=0-0,2-3", "bytes=" + "9" * 30 + "-",
           "*", 'W/"a"', "Bearer", "Bearer {key} {key}", "bearer {key}", "Basic e30=", "Bearer " + "k" * 5000,
           "Bearer \udcff", "a" * 60_000, "100-continue", "websocket", "h2c", "[::1", "a b", "gzip, deflate",
           "identity;q=0", "\x00", "a\rb", "a\x7fb", "application/json; charset=utf-16",
           "application/x-www-form-urlencoded", "multipart/form-data",
           "multipart/form-data; boundary=" + "b" * 300, "text/plain; =;;", "application/json;" * 500)  # fmt: skip
_NO_HTTP = (b"\r\n" * 50, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n",
            b"GET  /  HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\nHost: a\n\n")  # fmt: skip


def attack(shoot: Shoot, cases: int, seed: int) -> None:
    rng = random.Random(f"{seed}:{KIND}")
    makers = (_body, _body, _body, _header, _header, _target, _query, _framing)
    for number in range(cases):
        shoot(makers[number % len(makers)](rng))


def task(**fields: Any) -> dict[str, Any]:
    secret = f"https://hooks.example.com/done?secret={CALLERS_SECRET}"
    return {"task_type": "GENERATION", "origin_instance": "fuzz", "prompt": "a mug", "webhook_url": secret, **fields}


def _body(rng: random.Random) -> HttpCase:
    """A good task of which one member, or the whole text, was spoilt."""
    good = json.dumps(task(config={"secret": CALLERS_SECRET})).encode()
    field, literal = rng.choice(_FIELDS), rng.choice(_LITERALS)
    choice = rng.randrange(6)
    if choice < 3:
        body, note = good[:-1] + b',"%s":%s}' % (field.encode(), literal), f"{field} = {literal[:20]!r}"
    elif choice == 3:
        body, note = literal, f"{literal[:20]!r} alone"
    elif choice == 4:
        cut = rng.randrange(len(good))
        body, note = good[:cut], f"cut at {cut}"
    else:
        body, note = _flipped(rng, good), "flipped bytes"
    method, path = rng.choice((("POST", TASKS), ("POST", TASKS), ("PUT", f"{TASKS}x"), ("PUT", f"{TASKS}generation/x")))
    return HttpCase(KIND, note, json_request(method, path, body))


def _header(rng: random.Random) -> HttpCase:
    name, value = rng.choice(_HEADERS), rng.choice(_VALUES)
    body = json.dumps(task()).encode() if rng.random() < 0.5 else b""
    path = TASKS if body else rng.choice(_PATHS)
    many = {f"X-{number}": "y" for number in range(rng.choice((0, 200)))}
    headers = {"Content-Type": "application/json", name: value} | many
    raw = http_request("POST" if body else "GET", path, headers, body)
    # What announces more than comes may be waited for.
    waits = name in ("Transfer-Encoding", "Content-Length", "Expect", "Connection", "Upgrade")
    return HttpCase(KIND, f"{name}: {value[:30]!r}", raw, unfinished=waits)


def _target(rng: random.Random) -> HttpCase:
    odd = rng.choice(_ODD)
    path = rng.choice((f"{rng.choice(_PATHS)}{odd}", f"{TASKS}{odd}", f"/api/v1/storage/images/{odd}", odd))
    if rng.random() < 0.5:
        path = "".join(f"%{byte:02x}" if byte < 33 or byte > 126 else chr(byte) for byte in _bytes(path))
    method = rng.choice(_METHODS)
    return HttpCase(KIND, f"{method} {path[:40]!r}", http_request(method, path.encode("utf-8", "replace").decode()))


def _query(rng: random.Random) -> HttpCase:
    names = ("limit", "skip", "status", "task_type", "origin_zone", "prefix", "start_after", "previews", "x",
             "state", "task_id", "url", "workflow_id")  # fmt: skip
    pairs = [f"{rng.choice(names)}={rng.choice(_ODD)}" for _ in range(rng.choice((1, 2, 50)))]
    query = "&".join(pairs).encode("utf-8", "replace").decode()
    quoted = "".join(f"%{byte:02X}" if byte < 33 or byte > 126 else chr(byte) for byte in query.encode())
    return HttpCase(KIND, f"?{quoted[:40]}", http_request("GET", f"{rng.choice(_PATHS)}?{quoted}"))


def _framing(rng: random.Random) -> HttpCase:
    """Chunks and lengths that do not fit, and bytes that are no HTTP."""
    body = json.dumps(task()).encode()
    chunked = {"Transfer-Encoding": "chunked", "Content-Length": "", "Content-Type": "application/json"}
    chunks = (
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
        b"zz\r\n",
        b"-5\r\nabcde\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"5;%s\r\nabcde\r\n0\r\n\r\n" % (b"x" * 20_000),
        b"1\r\n{\r\n" * 500 + b"0\r\n\r\n",
        b"%x\r\n%s" % (len(body), body),
        b"0\r\nX: y\r\n\r\n",
    )
    raw = http_request("POST", TASKS, chunked) + rng.choice(chunks)
    choice = rng.randrange(4)
    if choice == 0:
        raw = http_request("POST", TASKS, {"Content-Length": str(len(body) + rng.choice((1, 10**6, 10**12)))}, body)
    elif choice == 1:
        raw = _flipped(rng, json_request("POST", TASKS, body))
    elif choice == 2:
        raw = rng.choice((*_NO_HTTP, rng.randbytes(200), b"\x16\x03\x01" + rng.randbytes(100)))
    return HttpCase(KIND, f"framing {raw[-30:]!r}", raw, unfinished=True)


def _flipped(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
