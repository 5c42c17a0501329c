"""Who is let in by the gateway's middleware, with what limits, and what is said of a failure. No services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request, WebSocket
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.edge import authentication
from gateway.edge.authentication import AuthMiddleware, key_of
from gateway.edge.route_access import RouteAccessTable, api_routes
from services.common.errors import DeadlineExceeded, NotFound, Unauthenticated
from services.common.identity import Caller
from services.common.scopes import ANY_KEY, needs

JSON_LIMIT, UPLOAD_LIMIT = 100, 1_000


class Access:
    """Knows three keys."""

    async def authenticate(self, key: str) -> Caller:
        if key not in ("tasks", "admin", "read"):
            raise Unauthenticated("this API key is unknown or revoked", reason="KEY_UNKNOWN")
        return Caller(f"of-{key}", frozenset({key}))


def bare() -> FastAPI:
    return FastAPI(openapi_url=None)


def application() -> FastAPI:
    app = bare()
    app.state.access = Access()

    @app.get("/health")
    async def health() -> str:
        return "open"

    @app.get("/api/v1/things/{name}")
    @needs(frozenset({"tasks"}))
    async def thing(request: Request, name: str) -> dict[str, Any]:
        return {"tenant": request.scope["caller"].tenant, "id": request.scope["request_id"], "name": name}

    @app.put("/api/v1/things/{name}")
    @needs(frozenset({"admin"}))
    async def put(request: Request, name: str) -> int:
        return len(await request.body())

    @app.post("/api/v1/fails/{how}")
    @needs(frozenset({"tasks"}))
    async def fail(how: str) -> None:
        errors: dict[str, Exception] = {
            "unknown": NotFound("no such thing"),
            "late": DeadlineExceeded("too late"),
            "token": Unauthenticated("the services do not know us"),
            "broken": ZeroDivisionError("secret detail"),
        }
        raise errors[how]

    return app


@pytest.fixture
def app() -> FastAPI:
    return application()


@pytest.fixture
def table(app: FastAPI) -> RouteAccessTable:
    return RouteAccessTable(app)


Ask = Callable[..., Awaitable[httpx2.Response]]


@pytest.fixture
def ask(app: FastAPI, table: RouteAccessTable) -> Ask:
    app.add_middleware(AuthMiddleware, needed=table.needed, max_json=JSON_LIMIT, max_upload=UPLOAD_LIMIT)

    async def asked(method: str, path: str, key: str = "", connection: Any = None, **more: Any) -> httpx2.Response:
        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            if connection is not None:
                scope["connection"] = connection
            await app(scope, receive, send)

        headers = {"authorization": f"Bearer {key}"} if key else {}
        headers |= more.pop("headers", {})
        transport = httpx2.ASGITransport(with_connection, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path, headers=headers, **more)

    return asked


async def test_a_route_is_for_whoever_has_one_of_its_scopes(ask: Ask) -> None:
    got = await ask("GET", "/api/v1/things/a", "tasks")
    assert (got.status_code, got.json()["tenant"], got.json()["name"]) == (200, "of-tasks", "a")
    for key, status, reason in (("", 401, "KEY_MISSING"), ("x", 401, "KEY_UNKNOWN"), ("admin", 403, "SCOPE_MISSING")):
        refused = await ask("GET", "/api/v1/things/a", key)
        assert (refused.status_code, refused.json()["reason"]) == (status, reason)


async def test_an_open_route_asks_for_nothing_and_what_is_unknown_below_a_closed_one_asks_for_a_key(ask: Ask) -> None:
    assert (await ask("GET", "/health")).json() == "open"
    assert (await ask("GET", "/health", "wrong")).status_code == 200
    assert (await ask("GET", "/api/v1/nothing")).status_code == 401
    assert (await ask("GET", "/api/v1/nothing", "read")).status_code == 404
    assert (await ask("GET", "/elsewhere")).status_code == 404


async def test_every_answer_bears_the_request_s_id_and_a_strange_one_is_not_taken_over(ask: Ask) -> None:
    named = await ask("GET", "/api/v1/things/a", "tasks", headers={"x-request-id": "mine-1"})
    assert named.headers["x-request-id"] == named.json()["id"] == "mine-1"
    for strange in ("a b", "x" * 129):
        made = await ask("GET", "/api/v1/things/a", "tasks", headers={"x-request-id": strange})
        assert made.headers["x-request-id"] == made.json()["id"] != strange
        assert len(made.json()["id"]) >= 16
    refused = await ask("GET", "/api/v1/things/a", headers={"x-request-id": "mine-2"})
    assert refused.headers["x-request-id"] == "mine-2"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_has_the_limit_of_its_kind_announced_or_not(ask: Ask, announced: bool) -> None:
    async def put(size: int, kind: str) -> httpx2.Response:
        async def pieces() -> Any:
            for _ in range(size // 10):
                yield b"x" * 10

        content = b"x" * size if announced else pieces()
        return await ask("PUT", "/api/v1/things/a", "admin", content=content, headers={"content-type": kind})

    assert (await put(JSON_LIMIT, "application/json")).json() == JSON_LIMIT
    assert (await put(UPLOAD_LIMIT, " Multipart/form-data; boundary=x")).json() == UPLOAD_LIMIT
    for size, kind in ((JSON_LIMIT + 10, "application/json"), (UPLOAD_LIMIT + 10, "multipart/form-data; boundary=x")):
        refused = await put(size, kind)
        assert (refused.status_code, refused.json()["reason"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("unknown", 404, "NOT_FOUND"),
        ("late", 504, "DEADLINE_EXCEEDED"),
        ("token", 500, "INTERNAL_TOKEN_REFUSED"),
        ("broken", 500, "INTERNAL"),
    ],
)
async def test_a_failure_is_told_as_the_caller_may_know_it(ask: Ask, how: str, status: int, reason: str) -> None:
    told = await ask("POST", f"/api/v1/fails/{how}", "tasks")
    assert (told.status_code, told.json()["reason"]) == (status, reason)
    assert "secret" not in told.text and "the services" not in told.text


async def test_a_body_that_comes_too_slowly_is_the_client_s_fault(ask: Ask) -> None:
    still = SimpleNamespace(late=False, receiving=True)
    assert (await ask("POST", "/api/v1/fails/late", "tasks", connection=still)).status_code == 408
    done = SimpleNamespace(late=False, receiving=False)
    assert (await ask("POST", "/api/v1/fails/late", "tasks", connection=done)).status_code == 504
    late = SimpleNamespace(late=True, receiving=True)
    refused = await ask("PUT", "/api/v1/things/a", "admin", connection=late, content=b"x")
    assert refused.status_code == 408


def test_a_key_is_what_follows_bearer() -> None:
    assert key_of(b"Bearer  abc ") == key_of(b"bearer abc") == "abc"
    assert key_of(b"") == key_of(b"Bearer") == key_of(b"Basic abc") == ""


def needed(table: RouteAccessTable, method: str, path: str) -> frozenset[str] | None:
    scope: Scope = {"method": method, "path": path}
    return table.needed(scope)


def test_each_method_of_a_path_has_its_own_scopes(table: RouteAccessTable) -> None:
    assert needed(table, "GET", "/api/v1/things/a") == needed(table, "HEAD", "/api/v1/things/a") == frozenset({"tasks"})
    assert needed(table, "PUT", "/api/v1/things/a") == frozenset({"admin"})
    assert needed(table, "DELETE", "/api/v1/things/a") == ANY_KEY
    assert needed(table, "DELETE", "/health") is None
    assert needed(table, "OPTIONS", "/api/v1/things/a") is None
    assert needed(table, "GET", "*") is None
    assert needed(table, "GET", "/api/v2/anything") == ANY_KEY
    assert needed(table, "GET", "/apiary") is None


def test_what_a_route_declares_is_found_by_its_path_and_method(table: RouteAccessTable) -> None:
    assert table.declared("PUT", "/api/v1/things/{name}") == frozenset({"admin"})
    assert table.declared("GET", "/health") is None
    with pytest.raises(StopIteration):
        table.declared("PATCH", "/api/v1/things/{name}")


def test_the_routes_that_fit_are_left_for_whoever_comes_next(table: RouteAccessTable) -> None:
    scope: Scope = {"method": "GET", "path": "/api/v1/things/a"}
    table.needed(scope)
    assert [route.path for route in scope["fitting"]] == ["/api/v1/things/{name}"] * 2


def test_a_route_that_declares_nothing_is_refused_unless_it_is_listed_as_open() -> None:
    forgetful, too_careful, other = bare(), bare(), bare()

    @forgetful.get("/api/v1/new")
    async def new() -> None: ...

    @too_careful.get("/health")
    @needs(frozenset({"tasks"}))
    async def health() -> None: ...

    @other.websocket("/live")
    async def live(socket: WebSocket) -> None: ...

    for wrong in (forgetful, too_careful, other):
        with pytest.raises(RuntimeError, match=r"scopes|route"):
            RouteAccessTable(wrong)


def test_a_route_of_a_kind_that_cannot_declare_anything_is_refused() -> None:
    with pytest.raises(RuntimeError):
        list(api_routes([Route("/plain", lambda _: None)]))


@pytest.mark.parametrize("path", ["/files/TOKEN", "/approvals/TOKEN"])
def test_no_log_says_what_a_link_was_made_with(path: str) -> None:
    assert "TOKEN" not in authentication._shown(path)
    assert authentication._shown("/api/v1/tasks/") == "/api/v1/tasks/"
