"""Health, metrics, documents."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import handlers.ops
import server.operations.ops
from server.gateway import SessionRow, SessionStats
from server.shared.state import RedisState
from server.version import __version__
from tests.server.redis_support import running_link
from tests.support.rest import document, problem, running

if TYPE_CHECKING:
    from pathlib import Path

    from server.telemetry.metrics import Metrics
    from tests.conftest import RedisServer


async def test_root_tells_programs_where_everything_is_and_sends_browsers_to_the_console(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        told = document(await gw.fetch("GET", "/", roles=None))
        assert (told["name"], told["version"]) == ("jarvis-gateway", __version__)
        for path in ("docs", "redoc", "openapi", "asyncapi", "health", "metrics"):
            assert (await gw.fetch("GET", told["links"][path], roles=None)).code == 200
        browser = await gw.fetch(
            "GET", "/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, roles=None
        )
        assert (browser.code, browser.headers["Location"]) == (302, "/console/")


async def test_a_full_redis_is_not_up(tmp_path: Path, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as gw, running_link(own_redis.url) as link:
        monkeypatch.setattr(gw.gateway, "state", RedisState(link))
        for limit, status in ((0, "up"), (1, "degraded"), (0, "up")):
            await link.call("CONFIG", "SET", "maxmemory", limit, patient=True)
            for path in ("/ready", "/health"):
                told = document(await gw.fetch("GET", path, roles=None))
                check = told["checks"]["redis"] if path == "/ready" else told["redis"]
                assert (check["status"], "full" in (check["reason"] or "")) == (status, limit == 1)


@pytest.mark.parametrize("origins", [(), ("https://app.example",)])
async def test_live_at_once_is_the_answer_that_a_handler_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origins: tuple[str, ...]
) -> None:
    headers = {"X-Request-ID": "probe-0001"}
    async with running(tmp_path, cors_origins=origins) as gw:
        at_once = await gw.fetch("GET", "/live", headers=headers, roles=None)
        monkeypatch.delattr("handlers.ops.LiveHandler.finish")
        by_handler = await gw.fetch("GET", "/live", headers=headers, roles=None)
        counted = gw.gateway.metrics.render()[1].decode()
    assert at_once.body == by_handler.body
    assert {*at_once.headers.get_all()} - {("Date", at_once.headers["Date"])} == {*by_handler.headers.get_all()} - {
        ("Date", by_handler.headers["Date"])
    }
    assert 'requests_total{endpoint="/live",method="GET",status="200"} 2.0' in counted


async def test_live_may_be_asked_from_a_page(tmp_path: Path) -> None:
    async with running(tmp_path, cors_origins=("https://app.example",)) as gw:
        answer = await gw.fetch("GET", "/live", headers={"Origin": "https://app.example"}, roles=None)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"


@pytest.mark.parametrize(
    "path", ["/", "/live", "/console/", "/docs", "/api/v1/agent/intents", "/ws/stats", "/nowhere", "/static/none"]
)
async def test_another_name_is_not_answered_to_anywhere(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, allowed_hosts=("jarvis.example",)) as gw:
        answer = await gw.fetch("GET", path, headers={"Host": "evil.example"})
        assert problem(answer) == (400, "BAD_REQUEST")
        assert (await gw.fetch("GET", "/", headers={"Host": "jarvis.example:8000"}, roles=None)).code == 200
        assert (await gw.fetch("GET", "/live", headers={"Host": "127.0.0.1"}, roles=None)).code == 200


async def test_under_debug_only_this_machine_is_answered_to(tmp_path: Path) -> None:
    async with running(tmp_path, debug=True) as gw:
        for path in ("/", "/console/", "/api/v1/agent/intents"):
            assert problem(await gw.fetch("GET", path, headers={"Host": "evil.example"})) == (400, "BAD_REQUEST")
            assert (await gw.fetch("GET", path, headers={"Host": "localhost:8000"})).code == 200


async def test_live_looks_at_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.gateway.draining = True
        gw.upstream.down = dict.fromkeys(gw.upstream.services, "gone")
        assert document(await gw.fetch("GET", "/live", roles=None)) == {"status": "ok"}


async def test_ready_names_every_check(tmp_path: Path) -> None:
    async with running(tmp_path, required_services=("intent",)) as gw:
        ready = await gw.fetch("GET", "/ready", roles=None)
        gw.upstream.down["browser"] = "no Chromium"
        degraded = await gw.fetch("GET", "/ready", roles=None)
        gw.upstream.down["intent"] = "connection refused"
        away = await gw.fetch("GET", "/ready", roles=None)
        gw.upstream.down.clear()
        gw.gateway.draining = True
        draining = await gw.fetch("GET", "/ready", roles=None)
    assert (ready.code, document(ready)["status"]) == (200, "ready")
    assert document(ready)["checks"]["intent"] == {
        "status": "up", "required": True, "latency_ms": 1.5, "reason": None, "engine": None,
    }  # fmt: skip
    assert "in-process" in document(ready)["checks"]["redis"]["reason"]
    assert (degraded.code, document(degraded)["status"]) == (200, "degraded")
    assert document(degraded)["checks"]["browser"]["reason"] == "no Chromium"
    assert (away.code, document(away)["status"], away.headers["Retry-After"]) == (503, "unavailable", "1")
    assert (draining.code, document(draining)["status"]) == (503, "draining")


async def test_a_required_service_that_cannot_do_all_degrades_and_no_more(tmp_path: Path) -> None:
    async with running(tmp_path, required_services=("memory",)) as gw:
        gw.upstream.impaired["memory"] = "nothing can be remembered"
        ready = await gw.fetch("GET", "/ready", roles=None)
        health = document(await gw.fetch("GET", "/health", roles=None))
    assert (ready.code, document(ready)["status"]) == (200, "degraded")
    seen = document(ready)["checks"]["memory"]
    assert (seen["status"], seen["reason"]) == ("degraded", "nothing can be remembered")
    assert (health["status"], health["services"]["memory"]["reason"]) == ("degraded", "nothing can be remembered")


async def test_a_lost_redis_degrades_and_no_more(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.gateway.state.shared = True  # as a Redis state says it is; its ping then answers None
        told = await gw.fetch("GET", "/ready", roles=None)
    assert (told.code, document(told)["status"]) == (200, "degraded")
    assert document(told)["checks"]["redis"]["status"] == "degraded"


async def test_what_health_tells_of_a_service_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is free for everybody, and cost half a millisecond each time."""
    made = []

    class Counted(server.operations.ops.ServiceAnswer):
        def __init__(self, **values: object) -> None:
            super().__init__(**values)
            made.append(self)

    async with running(tmp_path) as gw:
        monkeypatch.setattr("server.operations.ops.ServiceAnswer", Counted)
        first = document(await gw.fetch("GET", "/health", roles=None))
        count = len(made)
        again = document(await gw.fetch("GET", "/health", roles=None))
    assert again["services"] == first["services"]
    assert len(made) == count


async def test_health_tells_everything(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.gateway.loop_lag_s = 0.0125
        told = document(await gw.fetch("GET", "/health", roles=None))
    assert told["status"] == "ready"
    assert told["services"]["stt"] == {
        "status": "up", "required": False, "circuit": "closed", "latency_ms": 1.5, "reason": None, "engine": None, "languages": None, "running_calls": 0,
        "changed_at": "1970-01-01T00:00:00Z",
    }  # fmt: skip
    assert told["event_loop_lag_ms"] == 12.5
    assert told["requests_running"] == 1


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


async def test_metrics_in_the_format_asked_for(tmp_path: Path) -> None:
    """Whatever version a client names: there is one of each format."""
    plain, openmetrics = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"
    asked = {
        "": plain,
        "text/plain; version=abc": plain,
        "text/plain; version=1.0.0; escaping=odd": plain,
        "image/png": plain,
        "application/openmetrics-text; version=1.0.0": openmetrics,
        "application/openmetrics-text; version=1.x; escaping=odd": openmetrics,
        "application/openmetrics-text; q=0": plain,
        "text/plain;q=0.3, application/openmetrics-text;q=odd": plain,
        PROMETHEUS: openmetrics,
    }
    async with running(tmp_path) as gw:
        for accept, format_ in asked.items():
            page = await gw.fetch("GET", "/metrics", headers={"Accept": accept}, roles=None)
            assert (page.code, page.headers["Content-Type"].startswith(format_)) == (200, True), accept
            assert b"api_gateway_build_info" in page.body


class OneSession:
    """What a registry with one live session says."""

    def stats(self, user_id: str | None) -> SessionStats:
        live = SessionRow("kitchen", "ada", connected=True, opened_at="2026-01-01T00:00:00Z", channels=("stt", "tts"))
        if user_id not in {None, "ada"}:
            return SessionStats()
        return SessionStats(1, 1, {"stt": 1, "tts": 1}, 10, 20, 3, 4, {"audio_bytes": 5}, (live,))

    def counts(self) -> tuple[int, int]:
        return 1, 1

    async def report(self, metrics: Metrics) -> None:
        metrics.session_numbers.sockets = 1


@pytest.mark.parametrize(
    ("user", "roles", "scope", "sessions"),
    [("ada", ("user",), "own", 1), ("eve", ("user",), "own", 0), ("root", ("admin",), "all", 1)],
)
async def test_stats_are_of_ones_own_sessions_or_of_all_for_an_admin(
    tmp_path: Path, user: str, roles: tuple[str, ...], scope: str, sessions: int
) -> None:
    async with running(tmp_path) as gw:
        gw.gateway.sessions = OneSession()
        assert problem(await gw.fetch("GET", "/ws/stats", roles=None)) == (401, "UNAUTHENTICATED")
        told = document(await gw.fetch("GET", "/ws/stats", user=user, roles=roles))
    assert (told["scope"], told["sessions"], len(told["live"])) == (scope, sessions, sessions)
    if sessions:
        assert told["channels"] == {"stt": 1, "tts": 1}
        assert told["live"][0]["session_id"] == "kitchen"


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json", "/docs", "/redoc", "/asyncapi"])
async def test_documents_are_asked_for_once(tmp_path: Path, path: str) -> None:
    async with running(tmp_path) as gw:
        first = await gw.fetch("GET", path, roles=None)
        again = await gw.fetch("GET", path, roles=None, headers={"If-None-Match": first.headers["Etag"]})
    assert first.code == 200
    assert (again.code, again.body) == (304, b"")


async def test_a_document_that_many_ask_for_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make() -> dict[str, str]:
        made.append(1)
        return {"openapi": "3.1.0"}

    monkeypatch.setattr(handlers.ops, "_made", {})
    monkeypatch.setitem(handlers.ops._MAKERS, "/openapi.json", make)
    async with running(tmp_path) as gw:
        answers = await asyncio.gather(*(gw.fetch("GET", "/openapi.json", roles=None) for _ in range(8)))
    assert {answer.code for answer in answers} == {200}
    assert len(made) == 1


async def test_a_document_whose_making_failed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    makings = iter([ValueError("no"), None])

    def make() -> dict[str, str]:
        if (failure := next(makings)) is not None:
            raise failure
        return {"openapi": "3.1.0"}

    monkeypatch.setattr(handlers.ops, "_made", {})
    monkeypatch.setitem(handlers.ops._MAKERS, "/openapi.json", make)
    async with running(tmp_path) as gw:
        answers = [await gw.fetch("GET", "/openapi.json", roles=None) for _ in range(2)]
    assert [answer.code for answer in answers] == [500, 200]
