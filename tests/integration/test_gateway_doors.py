"""Every route of the gateway, called by whoever it is not for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx2
import pytest
import pytest_asyncio
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.responses import Response
from starlette.routing import Route

from gateway.app import routed
from gateway.edge.route_access import OPEN, RouteAccessTable
from services.common.scopes import SCOPES, needed_scopes
from tests.integration.gateway_host import IMAGES, TASKS, Stack, stack
from tests.integration.two_tenants import MARK, ids_of_acme, ids_of_nobody

pytestmark = pytest.mark.asyncio(loop_scope="module")
# What a call must bring along to get as far as looking for what it names.
BODIES: dict[str, dict[str, Any]] = {
    "update_task": {"json": {"priority": 9}},
    "update_generation_task": {"json": {"priority": 9}},
    "fork_workflow": {"json": {"from_step": "draw"}},
    "create_approval_link": {"json": {}},
    "signal_step": {"json": {"approve": True, "decided_by": "rival"}},
    "update_workflow": {"json": {"name": "of a rival"}},
    "enable_endpoint": {"json": {"url": f"https://shop.example/{MARK}"}},
}


class Call(NamedTuple):
    """One method of one route; `needed` is None where it declares nothing."""

    method: str
    path: str
    name: str
    needed: frozenset[str] | None


def calls() -> Iterator[Call]:
    """What the application serves, whatever its document says of it."""
    for context in iter_route_contexts(routed().routes):
        route = context.original_route
        assert isinstance(route, APIRoute), f"{route!r} cannot declare its scopes"
        for method in sorted(route.methods or ()):
            yield Call(method, route.path_format, route.name, needed_scopes(route.endpoint))


ALL = tuple(calls())
CLOSED = [call for call in ALL if call.path not in OPEN]


class Acme(NamedTuple):
    """What one tenant has, and another must not know of."""

    api: Stack
    ids: dict[str, str]

    async def ask(self, call: Call, headers: dict[str, str], ids: dict[str, str]) -> httpx2.Response:
        given = dict(BODIES.get(call.name, {}))
        if call.name == "delete_many":
            given["json"] = {"ids": [ids["task_id"]]}
        if call.name == "watch_many":
            given["params"] = {"id": ids["task_id"]}
        return await self.api.stranger.request(call.method, call.path.format(**ids), headers=headers, **given)

    async def headers(self, tenant: str, *scopes: str) -> dict[str, str]:
        return {"authorization": f"Bearer {await self.api.key(tenant, *scopes)}"}

    async def seen(self) -> list[Any]:
        """By its own eyes."""
        http, ids = self.api.http, self.ids
        task, picture = await http.get(TASKS + ids["task_id"]), await http.get(f"{IMAGES}/{ids['path']}")
        deliveries = await http.get("/api/v1/webhooks/deliveries")
        workflow = await http.get(f"/api/v1/workflows/{ids['workflow_id']}")
        return [
            task.json(),
            workflow.json(),
            picture.status_code,
            picture.content,
            [one["id"] for one in deliveries.json()],
        ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def acme(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Acme]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as api:
        yield Acme(api, await ids_of_acme(api) | {"name": "none", "token": "none"})


def unknown() -> dict[str, str]:
    return ids_of_nobody() | {"name": "none", "token": "none"}


async def test_whoever_has_no_key_is_let_into_the_open_routes_alone(acme: Acme) -> None:
    for call in ALL:
        answer = await acme.ask(call, {}, acme.ids)
        if call.path in OPEN:
            assert answer.status_code not in (401, 403, 405), call
        else:
            assert answer.status_code == 401, call
            assert call.method == "HEAD" or answer.json()["reason"] == "KEY_MISSING", call


async def test_a_key_without_a_needed_scope_opens_nothing(acme: Acme) -> None:
    for scope in SCOPES:
        headers = await acme.headers("acme", scope)
        before = await acme.seen()
        for call in CLOSED:
            if call.needed is not None and scope not in call.needed:
                answer = await acme.ask(call, headers, acme.ids)
                assert answer.status_code == 403, (scope, call)
                assert call.method == "HEAD" or answer.json()["reason"] == "SCOPE_MISSING", (scope, call)
        assert await acme.seen() == before


async def test_a_key_with_any_one_of_the_needed_scopes_is_let_in(acme: Acme) -> None:
    for scope in SCOPES:
        headers, ids = await acme.headers("acme", scope), unknown()
        for call in CLOSED:
            if call.needed is not None and scope in call.needed:
                assert (await acme.ask(call, headers, ids)).status_code not in (401, 403, 405), (scope, call)


async def test_what_another_tenant_has_is_as_good_as_not_there(acme: Acme) -> None:
    headers = await acme.headers("rival", "tasks", "admin")
    before = await acme.seen()
    for call in CLOSED:
        nothing = unknown()
        theirs, none = await acme.ask(call, headers, acme.ids), await acme.ask(call, headers, nothing)
        assert theirs.status_code == none.status_code, call
        if "{" in call.path and call.name != "save_image":
            assert theirs.status_code == 404, call
        if "secret" not in call.path:
            assert shown(theirs, acme.ids) == shown(none, nothing), call
        assert call.path.endswith("{path}") or MARK not in theirs.text, call
    assert await acme.seen() == before


def shown(answer: httpx2.Response, ids: dict[str, str]) -> str:
    """Without what differs from one call, or one id, to the next."""
    text = re.sub(r'"timestamp":"[^"]*"', "", answer.text.replace(answer.headers["x-request-id"], ""))
    for value in ids.values():
        text = text.replace(value, "")
    return text


@pytest.mark.parametrize(("path", "status"), [("/api/v1/nothing", 401), ("/nothing", 404)])
async def test_a_path_without_a_route_is_shown_to_be_none_only_to_who_has_a_key(
    acme: Acme, path: str, status: int
) -> None:
    assert (await acme.api.stranger.get(path)).status_code == status
    for scope in SCOPES:
        assert (await acme.api.stranger.get(path, headers=await acme.headers("acme", scope))).status_code == 404


async def test_a_route_that_declares_nothing_keeps_the_gateway_from_starting() -> None:
    async def forgotten() -> None: ...

    for path in ("/api/v1/forgotten", "/elsewhere"):
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.add_api_route(path, forgotten)
        with pytest.raises(RuntimeError, match=path):
            RouteAccessTable(app)
    bare = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, routes=[Route("/bare", Response)])
    with pytest.raises(RuntimeError, match="bare"):
        RouteAccessTable(bare)


async def test_the_list_of_open_routes_names_no_route_that_is_gone() -> None:
    assert {call.path for call in ALL} >= OPEN.keys()
    assert all(OPEN.values())


async def test_the_scope_read_opens_every_look_but_that_at_the_secret_and_nothing_else() -> None:
    for call in CLOSED:
        looks = call.method in ("GET", "HEAD") and "secret" not in call.path
        assert ("read" in (call.needed or ())) == looks, call


async def test_an_operator_is_let_into_nothing_of_a_tenants() -> None:
    opened = {call.path for call in CLOSED if "operator" in (call.needed or ())}
    assert opened == {f"/api/v1/monitoring/{name}" for name in ("queues", "workers", "workers/health")}


async def test_the_document_says_the_scopes_that_are_asked_for() -> None:
    paths = routed().openapi()["paths"]
    for call in ALL:
        operation = paths.get(call.path, {}).get(call.method.lower())
        if operation is not None:
            said = {scope for one in operation["security"] for scope in one["HTTPBearer"]}
            assert said == set(call.needed or ()), call
