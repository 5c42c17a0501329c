"""One path for each route, however it was spelt: below a proxy's prefix or not, with a slash at its end or without."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.types import Scope

from services.common.errors import InvalidRequest


class Paths:
    """Knows the paths of all routes, and the `prefix` that callers see in front of them."""

    def __init__(self, routes: Iterable[str], prefix: str) -> None:
        """`prefix` as `/atelier`, empty for none."""
        known = set(routes)
        self._prefix = prefix
        self._slashed = {path for path in known if path.endswith("/")}
        self._bare = {path[:-1]: path for path in self._slashed}
        self._tops = {_top(path) for path in known}
        # Below these a slash at the end belongs to a name of the caller's.
        self._names = tuple(path.partition("{")[0] for path in known if path.endswith(":path}"))

    def settle(self, scope: Scope) -> None:
        """Leaves the route's own path in the scope and, where it is another, the one that was `asked` for."""
        path: str = scope["path"]
        if b"%" in scope["raw_path"] or b"%" in scope["query_string"]:
            path = self._readable(scope)
        if not self._prefix and (path in self._slashed if path[-1:] == "/" else path not in self._bare):
            return
        if self._prefix:
            path = self._own(path)
        scope["prefix"] = self._prefix
        scope.setdefault("asked", self._prefix + path)
        if path[-1:] != "/":
            scope["path"] = self._bare.get(path, path)
        elif path not in self._slashed and (path in self._names or not path.startswith(self._names)):
            scope["path"] = path[:-1]
        else:
            scope["path"] = path

    def _readable(self, scope: Scope) -> str:
        """The path; what is not in UTF-8 is turned away: read anyhow, many names would be the same."""
        path: str = scope["path"]
        try:
            unquote_to_bytes(scope["raw_path"] + b"?" + scope["query_string"]).decode()
        except UnicodeDecodeError:
            stored = f"{self._own(path)}/".startswith(self._names)
            said = "what is percent-encoded in the path and the query must be UTF-8"
            in_storage = InvalidRequest(said, reason="PATH_INVALID")
            scope.setdefault("turned_away", in_storage if stored else InvalidRequest(said, reason="TARGET_INVALID"))
            written = unquote(scope["raw_path"].decode(), errors="surrogateescape")
            scope["asked"] = self._prefix + self._own(written)
        if "\n" in path:
            # Patterns of routes end at it. No name holds a NUL either, and these take it.
            scope.setdefault("asked", self._prefix + self._own(path))
            path = scope["path"] = path.replace("\n", "\0")
        return path

    def _own(self, path: str) -> str:
        """Some proxies take the prefix off and some keep it; a prefix can also look like a part of our own paths."""
        rest = path.removeprefix(self._prefix)
        return rest if rest != path and _top(rest) in self._tops else path


def prefix(scope: Scope) -> str:
    """What stands before our own paths as callers see them."""
    found: str = scope.get("prefix", "")
    return found


def asked_path(scope: Scope) -> str:
    """As its caller wrote it, for addresses that go back."""
    return quote(scope.get("asked", scope["path"]), safe="/:@!$&'()*+,;=~", errors="surrogateescape")


def _top(path: str) -> str:
    """The first segment: `/api` of `/api/v1/tasks/`, and `/` of the start page, of which a prefix leaves nothing."""
    return "/" + path[1:].partition("/")[0] if path.startswith("/") or not path else path
