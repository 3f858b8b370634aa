"""Runs each test of a running gateway with our HTTP reader and with Tornado's, since the responses must be the same."""

from __future__ import annotations

import inspect

import pytest

SOCKETS = "tests.handlers.test_realtime"  # gateways of their own process; test_tornado_handlers has the upgrade by both


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function) and metafunc.module.__name__ != SOCKETS:
        metafunc.parametrize("http_reader", ["fast", "tornado"], indirect=True)


@pytest.fixture(autouse=True)
def http_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of this test. The mark `fast_reader(why)` is for what Tornado's reader cannot do."""
    reader = getattr(request, "param", "fast")
    marker = request.node.get_closest_marker("fast_reader")
    if reader == "tornado" and marker is not None:
        pytest.skip(marker.args[0])
    monkeypatch.setenv("HTTP_READER", reader)
