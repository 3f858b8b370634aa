"""Entering a session takes a moment: the token is verified, and the store may be asked."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from handlers.realtime import RealtimeHandler
from server.net.websocket.fall_back import CheckedProtocol
from server.net.websocket.socket import FrameSocket
from streaming.jarvis.entry import CloseCode


class Cut:
    """A client that has closed its side, which is noticed only by looking."""

    def __init__(self, peer: socket.socket) -> None:
        self.stream, self.cut = SimpleNamespace(socket=peer, close=self._close), False

    def _close(self) -> None:
        self.cut = True


@pytest.mark.parametrize("way", ["header", "message"])
async def test_the_connection_of_a_client_that_left_before_its_session_is_cut(way: str) -> None:
    """Nobody else would end it: the session asks silent clients, and there is none."""
    ours, client = socket.socketpair()
    client.close()

    async def identify_token(_token: str) -> object:
        return SimpleNamespace(user_id="ada")

    async def claim(*_: object) -> None:
        return None

    handler: Any = object.__new__(RealtimeHandler)
    handler.gateway = SimpleNamespace(jarvis=SimpleNamespace(claim=claim))
    handler.request = SimpleNamespace(arguments={}, query_arguments={})
    handler.path_args = ["s1"]
    handler._admission = SimpleNamespace(identify_token=identify_token, check_room=lambda _session_id: None)
    handler._timer = handler._ending = handler._attachment = handler._refused = None
    handler._early = []
    handler._identity = SimpleNamespace(user_id="ada")
    handler.ws_connection = connection = Cut(ours)
    if way == "header":
        handler.opened()
    else:
        await handler._authenticate("token")
    assert connection.cut
    ours.close()


async def test_a_client_that_leaves_while_its_token_is_verified_opens_no_session() -> None:
    verified = asyncio.Event()

    async def identify_token(_token: str) -> object:
        await verified.wait()
        return SimpleNamespace(user_id="ada")

    async def claim(*_: object) -> None:
        return None

    handler: Any = object.__new__(RealtimeHandler)
    entered: list[object] = []
    handler.gateway = SimpleNamespace(jarvis=SimpleNamespace(claim=claim))
    handler.request = SimpleNamespace(arguments={}, query_arguments={})
    handler.path_args = ["s1"]
    handler._admission = SimpleNamespace(
        identify_token=identify_token,
        check_room=lambda _session_id: None,
        check_signed_in=entered.append,
        check_sockets=entered.append,
    )
    handler._timer = handler._ending = handler._attachment = None
    handler._early = ["{}"]
    handler.ws_connection = object()
    async with asyncio.TaskGroup() as group:
        group.create_task(handler._authenticate("token"))
        await asyncio.sleep(0)
        handler.ws_connection = None  # Tornado, when the connection is gone
        verified.set()
    assert entered == []


def test_whatever_comes_is_a_sign_of_life() -> None:
    handler: Any = object.__new__(RealtimeHandler)
    handler._attachment = None
    handler.on_ping(b"")  # before there is a session
    heard: list[None] = []
    handler._attachment = SimpleNamespace(heard=lambda: heard.append(None))
    handler.on_part()
    handler.on_ping(b"")
    handler.on_pong(b"")
    assert len(heard) == 3


@pytest.mark.plain_python("replaces a method of a compiled class")
@pytest.mark.parametrize("protocol", [FrameSocket, CheckedProtocol])
@pytest.mark.parametrize(
    ("code", "ignored"),
    [
        (CloseCode.TOO_MANY_MESSAGES, True),
        (CloseCode.PROTOCOL_ERROR, True),
        (CloseCode.MESSAGE_TOO_BIG, True),
        (CloseCode.SLOW_CONSUMER, False),
        (CloseCode.SESSION_TAKEN_OVER, False),
    ],
)
def test_whoever_floods_or_breaks_a_rule_is_not_read_on(
    monkeypatch: pytest.MonkeyPatch, protocol: type[Any], code: CloseCode, ignored: bool
) -> None:
    calls: list[None] = []
    monkeypatch.setattr(protocol, "ignore", lambda _socket: calls.append(None))
    handler: Any = object.__new__(RealtimeHandler)
    handler._ending, handler._start_timer = None, lambda *_: None
    handler._writer = SimpleNamespace(finish=lambda *_: None)
    handler.ws_connection = object.__new__(protocol)
    handler.end(code, "because")
    assert bool(calls) is ignored
