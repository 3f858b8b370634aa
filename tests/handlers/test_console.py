"""Files of `static/`, and nothing outside it; pages without requests to other hosts."""

from __future__ import annotations

import gzip
import json
import mimetypes
import re
from typing import TYPE_CHECKING

import pytest

from handlers.console import STATIC, TYPES
from tests.support.rest import problem, running

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "path",
    [
        "..%2fpyproject.toml", "../pyproject.toml", "docs/../../pyproject.toml", "%2e%2e/pyproject.toml", "docs",
        "docs%00/docs.css", ".git/config", "docs/.hidden", "docs//docs.css", "/etc/passwd", "C:%5cboot.ini", "x" * 300,
        "docs/docs.css/", "nothing.js",
    ],
)  # fmt: skip
async def test_nothing_else_is_served(tmp_path: Path, path: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.raw(f"GET /console/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 404")
        assert b"application/problem+json" in answer


async def test_types_do_not_come_from_the_tables_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for suffix in (".ts", ".png", ".md"):
        monkeypatch.setitem(mimetypes.types_map, suffix, "video/of-this-machine")
    async with running(tmp_path) as gw:
        told = [
            (await gw.fetch("GET", f"/console/{path}", roles=None)).headers["Content-Type"]
            for path in ("jarvis-client.d.ts", "docs/console/talk.png", "README.md", "vendor/redoc/LICENSE")
        ]
    text = "text/plain; charset=utf-8"
    assert told == [text, "image/png", "text/markdown; charset=utf-8", text]


def test_every_file_has_a_type_of_its_own() -> None:
    suffixes = {file.suffix for file in STATIC.rglob("*") if file.is_file() and "node_modules" not in file.parts}
    assert suffixes == set(TYPES)


async def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    link = STATIC / "docs" / "link-of-a-test.txt"
    link.symlink_to("/etc/hostname")
    try:
        async with running(tmp_path) as gw:
            assert problem(await gw.fetch("GET", "/console/docs/link-of-a-test.txt")) == (404, "NOT_FOUND")
    finally:
        link.unlink()


async def test_a_file_comes_compressed_and_is_asked_for_once(tmp_path: Path) -> None:
    path = "/console/docs/docs.css"
    async with running(tmp_path) as gw:
        plain = await gw.fetch("GET", path, decompress_response=False, roles=None)
        packed = await gw.fetch("GET", path, decompress_response=False, headers={"Accept-Encoding": "gzip, br"})
        again = await gw.fetch("GET", path, headers={"If-None-Match": packed.headers["Etag"]})
    assert plain.headers["Content-Type"] == "text/css; charset=utf-8"
    assert plain.body == (STATIC / "docs" / "docs.css").read_bytes()
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert (again.code, again.body) == (304, b"")


async def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlers.console.STATIC", tmp_path)
    page = tmp_path / "index.html"
    async with running(tmp_path) as gw:
        page.write_text("one", encoding="utf-8")
        first = await gw.fetch("GET", "/console/", roles=None)
        page.write_text("three", encoding="utf-8")
        second = await gw.fetch("GET", "/console/", roles=None)
    assert (first.body, second.body) == (b"one", b"three")
    assert first.headers["Content-Type"] == "text/html; charset=utf-8"


async def test_the_console_has_its_slash(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("GET", "/console", roles=None)
        assert (answer.code, answer.headers["Location"]) == (308, "/console/")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/asyncapi"])
async def test_pages_load_from_here_alone_and_hold_no_code(tmp_path: Path, path: str) -> None:
    async with running(tmp_path) as gw:
        page = await gw.fetch("GET", path, roles=None)
        html = page.body.decode()
        policy = page.headers["Content-Security-Policy"]
        loaded = re.sub(r'<a href="https://[^"]+"', "<a", html)  # a link elsewhere is followed by whoever clicks it
        for address in re.findall(r'(?:src|href)="([^"]+)"', loaded):
            assert address.startswith(("/", "#", "data:,"))
            if address.startswith("/"):
                assert (await gw.fetch("GET", address.partition("#")[0], roles=None)).code in {200, 404, 308}
        for address in re.findall(r'(?:src|stylesheet" href)="(/[^"]+)"', html):
            assert (await gw.fetch("GET", address, roles=None)).code == 200
    assert "script-src 'self';" in policy
    assert re.search(r"<script>|<script [^>]*>[^<]|\son\w+=|style=", html) is None


async def test_the_policy_names_the_own_host_for_sockets_unless_it_is_odd(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        named = await gw.fetch("GET", "/docs", roles=None)
        odd = await gw.raw(b"GET /docs HTTP/1.1\r\nHost: x;script-src*\r\nConnection: close\r\n\r\n")
    assert f"connect-src 'self' ws://127.0.0.1:{gw.port}" in named.headers["Content-Security-Policy"]
    assert b"script-src*" not in odd


def test_what_others_made_asks_no_other_host() -> None:
    for name in ("redoc/redoc.standalone.js", "swagger-ui/swagger-ui-bundle.js", "swagger-ui/swagger-ui.css"):
        text = (STATIC / "vendor" / name).read_text(encoding="utf-8")
        assert "cdn." not in re.sub(r"https?://cdn\.jsdelivr\.net", "cdn.", text) or "logo-mini" not in text
        assert "sourceMappingURL=redoc" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000"])
async def test_a_developer_at_the_machine_gets_a_token(tmp_path: Path, host: str) -> None:
    async with running(tmp_path, debug=True) as gw:
        answer = await gw.fetch("GET", "/console/development-token", headers={"Host": host})
        token = json.loads(answer.body)["access_token"]
        assert (await gw.fetch("GET", "/ws/stats", headers={"Authorization": f"Bearer {token}"})).code == 200


async def test_the_link_of_the_start_signs_in_once(tmp_path: Path) -> None:
    async with running(tmp_path, debug=True) as gw:
        code = await gw.gateway.authenticator.issue_sign_in_code()
        path = f"/console/development-token?code={code}"
        elsewhere = {"X-Forwarded-For": "10.0.0.1"}
        first, second = [await gw.fetch("GET", path, headers=elsewhere) for _ in range(2)]
        wrong, no_text = [await gw.fetch("GET", f"/console/development-token?code={text}") for text in ("x", "%ff")]
    assert (first.code, first.headers["Cache-Control"]) == (200, "no-store")
    assert json.loads(first.body)["access_token"]
    assert problem(second) == problem(wrong) == (401, "TOKEN_INVALID")
    assert problem(no_text) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("debug", "headers", "told"),
    [
        (False, {}, (404, "NOT_FOUND")),
        (True, {"Host": "evil.example"}, (400, "BAD_REQUEST")),
        (True, {"Host": ""}, (400, "BAD_REQUEST")),
        (True, {"X-Forwarded-For": "10.0.0.1"}, (404, "NOT_FOUND")),
    ],
)
async def test_nobody_else_gets_it(tmp_path: Path, debug: bool, headers: dict[str, str], told: tuple[int, str]) -> None:
    async with running(tmp_path, debug=debug) as gw:
        refused = await gw.fetch("GET", "/console/development-token", headers=headers)
        assert problem(refused) == told
