"""Handshakes of OpenAI's dialect that are refused: a token signed out meanwhile, a client secret, sidebands."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from handlers.openai_duplex import MAX_SIDEBANDS
from server.identity.auth import TokenError
from streaming.openai.inbox import LONG_CHARS
from streaming.openai.registry import RealtimeSessions
from streaming.openai.room import HearingRoom
from streaming.openai.settings import Voices
from streaming.ports import Identity, LaneServices, ServiceError
from tests.server.net.websocket.client_frames import CONTINUATION, PONG, TEXT, frame
from tests.support.rest import running
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.rest import Rest


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/live/sessions"])
async def test_a_sign_out_during_the_handshake(tmp_path: Path, path: str) -> None:
    async with running(tmp_path) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks

        class SlowVoices:
            async def voices(self, identity: Identity) -> Voices:
                await rest.gateway.authenticator.sign_out(identity)
                return Voices()

        slow: Any = SlowVoices()
        rest.gateway.openai = slow
        request = HTTPRequest(f"ws://127.0.0.1:{rest.port}{path}", headers=rest.bearer())
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(request)
    assert refused.value.code == 401


async def test_a_sign_out_while_a_session_is_claimed(tmp_path: Path) -> None:
    async with running(tmp_path) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks

        class SlowClaim:
            async def claim(self, _session_id: str, identity: Identity, _asked: object) -> None:
                await rest.gateway.authenticator.sign_out(identity)

        slow: Any = SlowClaim()
        rest.gateway.jarvis = slow
        by_header = HTTPRequest(f"ws://127.0.0.1:{rest.port}/ws/signed-out?resume=x", headers=rest.bearer())
        by_message = HTTPRequest(f"ws://127.0.0.1:{rest.port}/ws/signed-out?resume=x")
        for request in (by_header, by_message):
            socket = await websocket_connect(request)
            if request is by_message:
                await socket.write_message(json.dumps({"type": "auth", "token": rest.token()}))
            farewell = await socket.read_message()
            assert isinstance(farewell, str)
            assert json.loads(farewell)["message"] == "the token was signed out"
            assert await socket.read_message() is None
            assert socket.close_code == 4501


async def test_a_refused_handshake_leaves_the_client_secret_valid(tmp_path: Path) -> None:
    async with running(tmp_path) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks
        authenticator = rest.gateway.authenticator
        secret = await authenticator.issue_client_secret(await authenticator.verify(rest.token()), 60, {"a": 1})
        key = {"Authorization": f"Bearer {secret}"}
        base = f"ws://127.0.0.1:{rest.port}/v1"

        class NoVoices:
            async def voices(self, _identity: Identity) -> Voices:
                raise ServiceError("UNAVAILABLE", "the voices are away")

        away: Any = NoVoices()
        rest.gateway.openai = away
        refusals = [
            HTTPRequest(f"{base}/realtime", headers=key),
            HTTPRequest(f"{base}/realtime", headers={**key, "Origin": "https://elsewhere.example"}),
            HTTPRequest(f"{base}/live/sessions/sess_1/attach", headers=key),
        ]
        statuses = []
        for request in refusals:
            with pytest.raises(HTTPClientError) as refused:
                await websocket_connect(request)
            statuses.append(refused.value.code)
        assert statuses == [503, 403, 403]
        assert (await authenticator.client_secret(secret))[1] == {"a": 1}
        await authenticator.spend_client_secret(secret)
        with pytest.raises(TokenError):  # a second socket that looked at the secret at the same time
            await authenticator.spend_client_secret(secret)
        with pytest.raises(TokenError):
            await authenticator.client_secret(secret)


def sessions(rest: Rest, tasks: asyncio.TaskGroup) -> RealtimeSessions:
    lent: Any = World()
    provided = LaneServices(rest.gateway.services, lent, lent, lent, lent, lent)
    return RealtimeSessions(provided, tasks, rest.gateway.residents, resume_s=60)


@pytest.mark.parametrize("limit", ["ws_max_sockets_per_user", "ws_max_sessions"])
async def test_a_session_is_resumed_where_there_is_no_room_for_another(tmp_path: Path, limit: str) -> None:
    settings: dict[str, Any] = {limit: 2}
    async with running(tmp_path, **settings) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks
        rest.gateway.openai = sessions(rest, tasks)
        url = f"ws://127.0.0.1:{rest.port}/v1/realtime"

        async def entered(query: str = "", **whose: str) -> tuple[Any, str]:
            socket = await websocket_connect(HTTPRequest(url + query, headers=rest.bearer(**whose)))
            return socket, str(await socket.read_message()) if not query else ""

        lost, created = await entered()
        await entered()
        event = json.loads(created)
        lost.protocol._abort()  # without a close frame
        resident = rest.gateway.residents.current(event["session"]["id"])
        assert resident is not None
        while resident.connected:
            await asyncio.sleep(0.001)
        query = f"?resume={resident.session_id}&last_event_id={event['event_id']}"
        if limit == "ws_max_sessions":
            for refused_query, user in [("", "ada"), (query, "eve")]:
                with pytest.raises(HTTPClientError) as refused:
                    await entered(refused_query, user=user)
                assert refused.value.code == 503
        await entered(query)
        assert [each.connected for each in rest.gateway.residents] == [True, True]
        await rest.gateway.openai.close()


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/live/sessions"])
@pytest.mark.parametrize("secret", [False, True])
async def test_handshakes_at_the_same_time_make_no_more_sockets_than_allowed(
    tmp_path: Path, path: str, *, secret: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They all wait for the voices, or for a client secret, before the first of them has a session."""
    async with running(tmp_path, ws_max_sockets_per_user=2) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks
        rest.gateway.openai = sessions(rest, tasks)
        all_came = asyncio.Barrier(5)
        authenticator = rest.gateway.authenticator
        identity = await authenticator.verify(rest.token())

        async def voices(_identity: Identity) -> Voices:
            if not secret:
                await all_came.wait()
            return Voices()

        async def spend(_secret: str) -> None:
            await all_came.wait()

        monkeypatch.setattr(rest.gateway.openai, "voices", voices)
        monkeypatch.setattr(authenticator, "spend_client_secret", spend)
        keys = [await authenticator.issue_client_secret(identity, 60, {}) if secret else rest.token() for _ in range(5)]
        requests = [
            HTTPRequest(f"ws://127.0.0.1:{rest.port}{path}", headers={"Authorization": f"Bearer {key}"}) for key in keys
        ]
        opened = await asyncio.gather(*map(websocket_connect, requests), return_exceptions=True)
        refused = [each.code for each in opened if isinstance(each, HTTPClientError)]
        assert refused == [429] * 3
        assert rest.gateway.residents.count_of_user(identity.user_id) == 2
        await rest.gateway.openai.close()


class Attachable:
    """In place of the sessions: there is one, which is always there."""

    def __init__(self) -> None:
        self.identity = Identity("ada", "ada", ("user",))
        self.taps: list[Any] = []
        self.reflections: list[Any] = []

    async def voices(self, _identity: Identity) -> Voices:
        return Voices()

    def duplex(self, _session_id: str, _identity: Identity) -> Attachable:
        return self


@asynccontextmanager
async def attachable(folder: Path, **settings: Any) -> AsyncIterator[tuple[Rest, Attachable, str]]:
    """A gateway with that session, and the URL of its sidebands. Waits at the end until all have left."""
    async with running(folder, **settings) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks
        session: Any = Attachable()
        rest.gateway.openai = session
        yield rest, session, f"ws://127.0.0.1:{rest.port}/v1/live/sessions/sess_1/attach"
        while session.taps:
            await asyncio.sleep(0.001)


async def test_a_sideband_ends_with_its_own_token(tmp_path: Path) -> None:
    async with attachable(tmp_path) as (rest, session, url):
        listeners = len(rest.gateway.state._listeners)  # type: ignore[attr-defined] # the local state's
        tokens = rest.token(), rest.token(life_s=1.0)
        sockets = [
            await websocket_connect(HTTPRequest(url, headers={"Authorization": f"Bearer {token}"})) for token in tokens
        ]
        assert len(session.taps) == 2
        await rest.gateway.authenticator.sign_out(await rest.gateway.authenticator.verify(tokens[0]))
        for socket in sockets:
            assert await socket.read_message() is None
            assert socket.close_code == 1008
        while len(rest.gateway.state._listeners) > listeners:  # type: ignore[attr-defined]
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("roles", "of_session", "may"),
    [
        ("user", "operator", False),
        ("operator", "operator", True),
        ("admin", "operator", True),
        ("user", "guest", False),
    ],
)
async def test_a_sideband_needs_the_roles_of_the_session(
    tmp_path: Path, roles: str, of_session: str, may: bool
) -> None:
    async with attachable(tmp_path) as (rest, session, url):
        session.identity = Identity("ada", "ada", (of_session, "user"))
        attaching = websocket_connect(HTTPRequest(url, headers=rest.bearer(roles)))
        if may:
            (await attaching).close()
            return
        with pytest.raises(HTTPClientError) as refused:
            await attaching
        assert refused.value.code == 403


async def test_a_session_has_so_many_sidebands(tmp_path: Path) -> None:
    async with attachable(tmp_path) as (rest, _, url):
        request = HTTPRequest(url, headers=rest.bearer())
        sockets = [await websocket_connect(request) for _ in range(MAX_SIDEBANDS)]
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(request)
        assert refused.value.code == 429
        for socket in sockets:
            socket.close()


async def test_sidebands_are_sockets_of_their_user(tmp_path: Path) -> None:
    async with attachable(tmp_path, ws_max_sockets_per_user=2) as (rest, session, url):
        request, others = (HTTPRequest(url, headers=rest.bearer(user=user)) for user in ("ada", "eve"))
        sockets = [await websocket_connect(request) for _ in range(2)]
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(request)
        assert refused.value.code == 429
        sockets.append(await websocket_connect(others))
        sockets[0].close()
        while len(session.taps) > 2:
            await asyncio.sleep(0.001)
        sockets.append(await websocket_connect(request))
        for socket in sockets:
            socket.close()
    assert not rest.gateway.residents.beside


async def test_a_sideband_sends_no_long_messages(tmp_path: Path) -> None:
    async with attachable(tmp_path) as (rest, session, url):
        socket = await websocket_connect(HTTPRequest(url, headers=rest.bearer()))
        await socket.write_message(" " * (LONG_CHARS + 1))
        while await socket.read_message() is not None:
            pass
        assert socket.close_code == 1009
    assert session.reflections == []


SIZE = 2_000_000


@pytest.mark.parametrize("ws_reader", ["fast", "tornado"])
async def test_unfinished_messages_of_one_user_have_one_bound(tmp_path: Path, ws_reader: str) -> None:
    async with running(tmp_path, ws_reader=ws_reader) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks
        rest.gateway.openai = sessions(rest, tasks)
        room = rest.gateway.openai.room = HearingRoom(5 * SIZE)  # a user gets half of it

        async def unfinished() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
            handshake = (
                "GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                f"Authorization: {rest.bearer()['Authorization']}\r\n\r\n"
            )
            writer.write(handshake.encode())
            await reader.readuntil(b"session.created")
            writer.write(frame(TEXT, fin=False))
            for _ in range(100):
                writer.write(frame(CONTINUATION, b"x" * (SIZE // 100), fin=False) + frame(PONG))
            return reader, writer

        async def holds(n_bytes: int) -> None:
            while room.held_bytes != n_bytes:
                await asyncio.sleep(0.001)

        first, writer = await unfinished()
        await holds(SIZE)
        _, gone = await unfinished()
        await holds(2 * SIZE)
        refused, kept = await unfinished()
        await refused.readuntil(b"input_audio_buffer_full")
        kept.write(frame(CONTINUATION, b"x") + frame(TEXT, b"{}"))
        assert (await refused.readuntil(b"missing_required_parameter")).count(b'"error"') == 2
        gone.close()
        await holds(SIZE)
        writer.write(frame(CONTINUATION, b"x"))  # whole now, but no event
        await first.readuntil(b"string_above_max_length")
        await holds(0)
        for socket in (writer, gone, kept):
            socket.close()
            await socket.wait_closed()
        await rest.gateway.openai.close()
