"""The host names that are served."""

from __future__ import annotations

import pytest

from server.net.served_names import ServedNames


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Box.lab.example")


HERE = ["localhost", "localhost:8000", "LOCALHOST.", "app.localhost", "127.0.0.1:8000", "[::1]:8000", "10.1.2.3", "box"]
HERE += ["box.local:8000", "box.lab.example"]
ELSEWHERE = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "",
    "[::1",
    "a:b:c",
]
ELSEWHERE += ["user@localhost.evil.example", "127.1"]


@pytest.mark.parametrize("path", ["/", "/console/", "/api/v1/agent/intent", "/ws/s", "/live"])
def test_under_debug_names_of_this_machine_are_served_alone(path: str) -> None:
    names = ServedNames((), debug=True, host="127.0.0.1")
    assert [host for host in HERE if not names.serves(host, path)] == []
    assert [host for host in ELSEWHERE if names.serves(host, path)] == []


def test_configured_names_are_served_beside_them() -> None:
    names = ServedNames(("Dev.Example",), debug=True, host="devbox")
    assert names.serves("dev.example:8000", "/")
    assert names.serves("devbox", "/")
    assert names.serves("localhost", "/")
    assert not names.serves("evil.example", "/")


def test_in_production_the_configured_names_alone_and_health_checks_by_address() -> None:
    names = ServedNames(("jarvis.example",), debug=False, host="0.0.0.0")
    assert names.serves("Jarvis.example.", "/api/v1/agent/intent")
    for host in ("localhost", "10.0.0.5", "evil.example"):
        assert not names.serves(host, "/api/v1/agent/intent")
    for path in ("/live", "/ready", "/health", "/metrics"):
        assert names.serves("10.0.0.5:8000", path)
        assert names.serves("[fd00::5]:8000", path)
        assert not names.serves("evil.example", path)


def test_without_either_any_name_is_served() -> None:
    assert ServedNames((), debug=False, host="0.0.0.0").serves("any.example", "/")
