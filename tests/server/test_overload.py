"""Load shedding, and its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from server.overload import Load, Overload, OverloadLimits
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = OverloadLimits(lag_s=0.1, memory_bytes=1000, sessions=3)


class Machine:
    """Memory and sessions as a test wants them."""

    def __init__(self) -> None:
        self.memory_bytes = self.sessions = 0
        self.overload = Overload(LIMITS, lambda: self.sessions, lambda: self.memory_bytes)

    def late_by(self, lag_s: float, times: int = 1) -> Load:
        for _ in range(times):
            self.overload.measured(lag_s)
        return self.overload.load


def test_one_slow_moment_is_no_overload() -> None:
    assert Machine().late_by(0.3) is Load.NORMAL


def test_lag_that_stays_is_one_and_much_lag_is_the_next_step() -> None:
    machine = Machine()
    assert machine.late_by(0.15, 10) is Load.BUSY
    assert (machine.overload.full, machine.overload.sheds_progress) == (True, False)
    assert machine.late_by(0.3, 10) is Load.VERY_BUSY
    assert (machine.overload.full, machine.overload.sheds_progress) == (True, True)


def test_it_recovers_by_itself_and_does_not_flicker() -> None:
    machine = Machine()
    machine.late_by(0.3, 10)
    assert machine.late_by(0.09, 20) is Load.BUSY  # below the limit, not yet below its half
    assert machine.late_by(0.01, 20) is Load.NORMAL
    assert not machine.overload.full


def test_memory_counts_and_so_does_the_number_of_sessions() -> None:
    machine = Machine()
    machine.memory_bytes = 1000
    assert machine.late_by(0.0) is Load.BUSY
    machine.memory_bytes = 960
    assert machine.late_by(0.0) is Load.BUSY
    machine.memory_bytes = 900
    assert machine.late_by(0.0) is Load.NORMAL
    machine.sessions = 3
    assert machine.overload.full


def test_no_limits_are_no_overload() -> None:
    overload = Overload(OverloadLimits(0, 0, 0), lambda: 10**6, lambda: 10**12)
    overload.measured(10.0)
    assert (overload.load, overload.full) == (Load.NORMAL, False)


async def test_a_full_gateway_refuses_new_sockets_and_takes_its_own_sessions_back(tmp_path: Path) -> None:
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="", WS_MAX_SESSIONS="1") as gateway:
        first = await websocket_connect(f"{gateway.ws}/ws/only?user_id=ada")
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(HTTPRequest(f"{gateway.ws}/ws/other?user_id=ada"))
        assert refused.value.code == 503
        assert refused.value.response is not None
        assert refused.value.response.headers["Retry-After"] == "2"
        first.close()
        again = await websocket_connect(f"{gateway.ws}/ws/only?user_id=ada")
        assert await again.read_message() is not None
        again.close()
