"""Routes: a path, its handler, and who may use it. A route without an access rule stops the start."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from server.operations.operation import JSON_BODY_BYTES, Access

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tornado.httputil import HTTPMessageDelegate
    from tornado.web import RequestHandler

    from server.operations.operation import Operation


class UnguardedRouteError(Exception):
    """A route does not say who may use it."""


@dataclass(frozen=True, slots=True)
class Route:
    """One path (a template with `{names}`) and its handler. `methods` go into the `Allow` header; HEAD goes with GET."""

    path: str
    handler: type[HTTPMessageDelegate | RequestHandler]
    access: Access | None
    methods: tuple[str, ...] = ("GET",)
    operations: Mapping[str, Operation] = field(default_factory=dict)  # by method
    body_limit_bytes: int = JSON_BODY_BYTES
    pattern: str = ""  # a regular expression, if the template's `[^/]+` is too wide

    @property
    def allow(self) -> str:
        """The `Allow` header."""
        methods = {*self.methods, "OPTIONS"} | ({"HEAD"} if "GET" in self.methods else set())
        return ", ".join(sorted(methods))


def operation_routes(operations: Iterable[Operation], handler: type[HTTPMessageDelegate]) -> list[Route]:
    """Routes of operations served by one handler class: one route per path, with all its methods."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [
        Route(
            path,
            handler,
            access=next(iter(methods.values())).access,
            methods=tuple(methods),
            operations=methods,
            body_limit_bytes=max(operation.body_limit_bytes for operation in methods.values()),
        )
        for path, methods in by_path.items()
    ]


class Router:
    """Finds the route of a path: by its text if it has no `{names}`, else by pattern."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Route] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if route.access is None:
            raise UnguardedRouteError(f"{route.path} has no authorisation rule")
        if "{" not in route.path:
            self._exact[route.path] = route
            return
        pattern = route.pattern or "([^/]+)".join(map(re.escape, re.split(r"\{\w+\}", route.path)))
        self._patterns.append((re.compile(pattern), route))

    def match(self, path: str) -> tuple[Route, tuple[str, ...]] | None:
        """The route and the path's arguments, still percent-encoded."""
        route = self._exact.get(path)
        if route is not None:
            return route, ()
        for pattern, candidate in self._patterns:
            found = pattern.fullmatch(path)
            if found:
                return candidate, found.groups()
        return None
