"""The public APIs, a package each, found by their presence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import chain
from pkgutil import iter_modules
from typing import NamedTuple

from fastapi import APIRouter
from fastapi.routing import APIRoute

from gateway.edge.route_access import api_routes
from gateway.edge.surface import Surface


class FoundSurface(NamedTuple):
    """A surface, and the `router` of each module in its `routers`."""

    surface: Surface
    routers: tuple[APIRouter, ...]


@cache
def discover_surfaces() -> tuple[FoundSurface, ...]:
    """All of them, by name. Raises RuntimeError for a route outside its surface's prefix."""
    return tuple(_found(f"{__name__}.{info.name}") for info in iter_modules(__path__) if info.ispkg)


def _found(package: str) -> FoundSurface:
    surface: Surface = import_module(f"{package}.surface").SURFACE
    routers = import_module(f"{package}.routers")
    found = tuple(import_module(f"{routers.__name__}.{info.name}").router for info in iter_modules(routers.__path__))
    for route in _routes(found):
        if not route.path.startswith(surface.prefix):
            raise RuntimeError(f"{route.path} is not below {surface.prefix}, where the routes of {package} belong")
    return FoundSurface(surface, found)


def merged(routers: tuple[APIRouter, ...]) -> APIRouter:
    """All routes in one router: where two fit a path, the one that names more of it goes first."""
    router = APIRouter()
    found: list[APIRoute] = sorted(_routes(routers), key=_parameters)
    router.routes.extend(found)
    return router


def _routes(routers: tuple[APIRouter, ...]) -> Iterator[APIRoute]:
    return api_routes(chain.from_iterable(router.routes for router in routers))


def _parameters(route: APIRoute) -> list[bool]:
    """Of each segment, whether it is a parameter."""
    return ["{" in segment for segment in route.path.split("/")]
