"""Which routes a caller needs a key for, and with which scope: all but those listed here, as each declares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import Scope

from services.common.scopes import ANY_KEY, needed_scopes
from services.messaging.event_schemas import PATH as EVENT_SCHEMAS

# Open to everybody, and why.
OPEN = {
    "/health": "load balancers ask without a key",
    "/": "leads to the reference page",
    "/docs": "the reference page says how to get a key",
    "/openapi.json": "generators of clients fetch it; it says nothing of a tenant",
    "/asyncapi.json": "generators of clients fetch it; it says nothing of a tenant",
    "/files/{token}": "the token is signed, expires and names one picture",
    "/approvals/{token}": "the token is signed, expires, and is good for one decision on one step",
    EVENT_SCHEMAS + "{name}": "whoever receives an event may look up its schema",
}


class RouteAccess(NamedTuple):
    """One route; `needed` is None where it is open, `template` its path as its router has it."""

    path: str
    template: str
    fits: re.Pattern[str]
    methods: frozenset[str]
    needed: frozenset[str] | None


class RouteAccessTable:
    """All routes of an application. What it does not list stays closed below the first segment of a closed route."""

    def __init__(self, app: FastAPI) -> None:
        """Raises RuntimeError for a route that neither declares its scopes nor is listed as open."""
        self.all = tuple(_routes(app))
        self._closed = tuple({f"/{route.path.split('/')[1]}/" for route in self.all if route.needed is not None})

    def needed(self, scope: Scope) -> frozenset[str] | None:
        """The scopes of which a request needs one; None where no key is asked for. Leaves the routes that are `fitting`
        its path in the scope: looking for them twice would cost as much again.
        """
        path, method = scope["path"], scope["method"]
        fitting = [route for route in self.all if path == "*" or route.fits.match(path)]
        scope["fitting"] = fitting
        if method == "OPTIONS" or path == "*":  # the server as a whole (RFC 9110, 9.3.7)
            return None
        if not fitting:
            return ANY_KEY if path.startswith(self._closed) else None
        for wanted in (method, "GET") if method == "HEAD" else (method,):
            for route in fitting:
                if wanted in route.methods:
                    return route.needed
        return None if all(route.needed is None for route in fitting) else ANY_KEY

    def declared(self, method: str, path: str) -> frozenset[str] | None:
        """What the route of this very path declares. Raises StopIteration where there is none."""
        return next(route.needed for route in self.all if route.path == path and method in route.methods)


def api_routes(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    """Raises RuntimeError for one of another kind."""
    for route in routes:
        if not isinstance(route, APIRoute):
            raise RuntimeError(f"{route!r} is no route that can declare its scopes")
        yield route


def _routes(app: FastAPI) -> Iterator[RouteAccess]:
    for route in api_routes(context.original_route for context in iter_route_contexts(app.routes)):
        needed = needed_scopes(route.endpoint)
        if (needed is None) != (route.path_format in OPEN):
            raise RuntimeError(f"{route.path_format}: declare its scopes with @needs, or list it as open in {__name__}")
        yield RouteAccess(route.path_format, route.path, route.path_regex, frozenset(route.methods or ()), needed)
