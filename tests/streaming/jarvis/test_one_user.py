"""Refusals of all sockets of one user are counted together, and nobody else's with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streaming.protocol.limits import Limits
from tests.support.house import USER, House, housed

if TYPE_CHECKING:
    from tests.support.house import FakeSocket
    from tests.support.world import World

SOCKETS, REFUSALS, AT_ONCE = 20, 100, 3


def _call(socket: FakeSocket, number: int) -> None:
    for call in range(AT_ONCE):
        if socket.ended is None:
            socket.say(type="call", id=f"c{number}-{call}", op="full")


def test_many_sockets_that_are_refused_a_little_each_are_closed() -> None:
    async def test(house: House, _world: World) -> None:
        sockets = [await house.enter(f"s{number}") for number in range(SOCKETS)]
        quiet, other = await house.enter("quiet"), await house.enter("other", replace(USER, user_id="u2"))
        for number in range(4):  # four times sixty
            for socket in sockets:
                _call(socket, number)
            await quiet.until("session.ready")
            await sockets[0].until("error", AT_ONCE * min(number + 1, 2))
        assert [socket.ended and socket.ended[0] for socket in sockets] == [4029] * SOCKETS
        assert quiet.ended is None  # it was refused nothing
        _call(other, 0)
        await other.until("error", AT_ONCE)
        _call(other, 1)
        assert other.ended is None

    housed(test, limits=Limits(refusals=float(REFUSALS)))


def test_a_user_whose_sessions_have_ended_leaves_nothing() -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        assert set(house.sessions._paces) == {USER.user_id}
        assert socket.line is not None
        socket.line.closed(for_good=True)
        socket.line = None
        while list(house.sessions):
            await house.sessions._end(next(iter(house.sessions)))
        assert not house.sessions._paces

    housed(test)
