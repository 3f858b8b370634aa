"""The console and the documents' pages: files of `static/`, and nothing outside it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import to_json

from handlers.assets import Asset, AssetHandler, make_asset
from handlers.base import BaseHandler
from server.errors import ApiError
from server.net.query import query_texts
from server.operations import Access
from server.process.workers import in_codec_thread
from server.routes import Route

if TYPE_CHECKING:
    from os import stat_result

STATIC = (Path(__file__).resolve().parent.parent / "static").resolve()

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")  # of folders and files: no leading dot, nothing encoded
# Of all files in `static/`, which Python's mimetypes would look up in the machine's own tables.
TYPES = {
    "": "text/plain; charset=utf-8",  # licences
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",  # TypeScript has no registered type; by its name alone it would be a film
    ".txt": "text/plain; charset=utf-8",
}
_MAX_PATH_CHARS = 200
_PORT = re.compile(r":[0-9]+$")
_OUR_NAMES = {"127.0.0.1", "localhost", "[::1]"}

_files: dict[Path, tuple[tuple[int, int], Asset]] = {}  # with the modification time and size at which they were read


def static_file(path: str) -> Path:
    """The file of a URL path. Raises ApiError NOT_FOUND if it is not in `static/`."""
    names = (path or "index.html").split("/")
    if names[-1] == "":
        names[-1] = "index.html"
    file = STATIC.joinpath(*names) if all(_NAME.fullmatch(name) for name in names) else STATIC
    if len(path) > _MAX_PATH_CHARS or not file.is_file() or not file.resolve().is_relative_to(STATIC):
        raise ApiError("NOT_FOUND")
    return file


async def file_asset(file: Path) -> Asset:
    """The file's asset, read again if the file has changed."""
    status: stat_result = await in_codec_thread(file.stat)
    stamp = (status.st_mtime_ns, status.st_size)
    known = _files.get(file)
    if known is None or known[0] != stamp:
        content_type = TYPES.get(file.suffix, "application/octet-stream")
        known = _files[file] = stamp, await make_asset(await in_codec_thread(file.read_bytes), content_type)
    return known[1]


class ConsoleHandler(AssetHandler):
    """`/console/…`: files of `static/`."""

    async def serve(self, *path: str) -> None:
        file = static_file(path[0])
        self.allow_page()
        self.send_asset(await file_asset(file))


class ToConsoleHandler(AssetHandler):
    """`/console`: redirects, because relative addresses in the page need the slash."""

    async def serve(self, *_path: str) -> None:
        self.redirect("/console/", status=308)


class SwaggerHandler(AssetHandler):
    """`/docs`: Swagger UI for the REST API."""

    page = "docs/swagger.html"

    async def serve(self, *_path: str) -> None:
        """Serve the page; the library sets inline styles."""
        self.allow_page(inline_styles=True)
        self.send_asset(await file_asset(static_file(self.page)))


class RedocHandler(SwaggerHandler):
    """`/redoc`: reference of the REST API."""

    page = "docs/redoc.html"


def _asyncapi_page() -> str:
    from server.documents.asyncapi import asyncapi_page  # noqa: PLC0415 - few gateways are asked for it

    return asyncapi_page()


class AsyncApiPageHandler(AssetHandler):
    """`/asyncapi`: reference of the WebSocket."""

    _asset: Asset | None = None

    async def serve(self, *_path: str) -> None:
        """Serve the page, built at the first request."""
        cls = type(self)
        if cls._asset is None:
            page = await in_codec_thread(_asyncapi_page)
            cls._asset = await make_asset(page.encode(), "text/html; charset=utf-8")
        self.allow_page()
        self.send_asset(cls._asset)


class DevelopmentTokenHandler(BaseHandler):
    """`/console/development-token`: a developer's token under DEBUG.

    `?code=` takes the one-time code of the link printed at start-up. Without a code, only this machine gets a token.
    """

    async def serve(self, *_path: str) -> None:
        """Answer with a new token."""
        if not self.gateway.settings.debug:
            raise ApiError("NOT_FOUND")
        code = query_texts(self.request).get("code")
        authenticator = self.gateway.authenticator
        if code:
            token = await authenticator.redeem_sign_in_code(code)
        elif self._is_local():
            token = authenticator.issue_development()
        else:
            raise ApiError("NOT_FOUND")
        self._headers["Cache-Control"] = "no-store"
        await self.reply(200, to_json({"access_token": token}))

    def _is_local(self) -> bool:
        """True for a direct request from this machine under its own name: not through a proxy, nor from a page of another host."""
        peer = ip_address((self.request.remote_ip or "").partition("%")[0])
        name = self.request.host.rpartition(":")[0] if _PORT.search(self.request.host) else self.request.host
        return peer.is_loopback and name in _OUR_NAMES and "X-Forwarded-For" not in self.request.headers


routes = [
    Route("/console", ToConsoleHandler, Access.PUBLIC),
    Route("/console/development-token", DevelopmentTokenHandler, Access.PUBLIC),
    Route("/console/{path}", ConsoleHandler, Access.PUBLIC, pattern=r"/console/(.*)"),
    Route("/docs", SwaggerHandler, Access.PUBLIC),
    Route("/redoc", RedocHandler, Access.PUBLIC),
    Route("/asyncapi", AsyncApiPageHandler, Access.PUBLIC),
]
