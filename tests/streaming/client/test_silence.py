"""Peers that accept a connection and then say nothing, or nothing of use: the client tells it, or leaves them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import signal
import socket
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from streaming.client import AsyncJarvisClient, GatewayClient, GatewayError, JarvisClient, TtsParams, TurnParams
from streaming.client import gateway as client_gateway
from streaming.protocol import client as protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from streaming.client import TaskConfirmationRequired
    from tests.support.gateway import GatewayProcess

ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
READY = (
    '{"type":"session.ready","seq":1,"session_id":"s","epoch":"e","resume_token":"r","resume_window_ms":1000,'
    '"heartbeat_ms":100,"limits":{},"services":{},"user":{"user_id":"u"}}'
)


def text(content: str) -> bytes:
    data = content.encode()
    return bytes([0x81, 126]) + len(data).to_bytes(2, "big") + data


def close(code: int) -> bytes:
    return bytes([0x88, 2]) + code.to_bytes(2, "big")


@asynccontextmanager
async def peer(*sent: bytes, opens: bool = True) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that opens a WebSocket, sends this, and then waits; its URL, and the requests that came."""
    requests: list[bytes] = []
    waiting: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        waiting.append(writer)
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", requests[-1])
        if opens and key:
            digest = base64.b64encode(hashlib.sha1(key[1] + ACCEPT.encode(), usedforsecurity=False).digest())
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            writer.write(head + b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n" + b"".join(sent))

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
        for writer in waiting:
            writer.close()


UNHURRIED_S = 60.0


async def failure(url: str, **options: Any) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        async with GatewayClient(url, **{"user_id": "u", **options}):
            pass
    assert raised.value.advice
    return raised.value


@pytest.mark.parametrize(
    ("sent", "code", "patience_s"),
    [
        ((), "NOT_A_GATEWAY", 0.3),
        ((text('{"hello": 1}'),), "NOT_A_GATEWAY", 0.3),
        ((close(1000),), "NOT_A_GATEWAY", UNHURRIED_S),
        ((close(4008),), "AUTH_TIMEOUT", UNHURRIED_S),
        ((close(4009),), "TOKEN_EXPIRED", UNHURRIED_S),
    ],
)
async def test_a_socket_without_a_session_is_told(
    sent: tuple[bytes, ...], code: str, patience_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_gateway, "CONNECT_TIMEOUT_S", UNHURRIED_S)
    monkeypatch.setattr(client_gateway, "GREETING_TIMEOUT_S", patience_s)
    async with peer(*sent) as (url, _):
        assert (await failure(url)).code == code


async def test_a_server_that_never_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_gateway, "CONNECT_TIMEOUT_S", 0.3)
    async with peer(opens=False) as (url, _):
        failed = await failure(url)
    assert failed.code == "UNAVAILABLE"
    assert "does not answer" in failed.message


async def test_where_a_redirect_leads_is_told() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 301 Moved\r\nLocation: https://example.org/\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        failed = await failure(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert failed.code == "NOT_A_GATEWAY"
    assert "https://example.org/" in failed.message
    assert "redirects" in failed.advice


async def test_a_gateway_that_falls_silent_is_left_for_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a router that has forgotten the connection: no FIN comes, nothing is answered."""
    monkeypatch.setattr(protocol, "HEARTBEAT_S", 0.1)
    async with peer(text(READY)) as (url, requests), GatewayClient(url, user_id="u"):
        while not (resumed := [request for request in requests if b"resume=r" in request]):
            await asyncio.sleep(0.02)
    assert b"last_seq=" in resumed[0]


async def test_nobody_waits_for_a_gateway_that_does_not_come_back() -> None:
    """It was killed in the middle of a turn, and its session is kept for a second."""
    async with AsyncExitStack() as running:
        url, _ = await running.enter_async_context(peer(text(READY)))
        async with AsyncJarvisClient(url, user_id="u") as client, client.turn() as turn:
            await running.aclose()
            with pytest.raises(GatewayError, match=r"SESSION_LOST: .*ask again"):
                async for _ in turn:
                    pass
            with pytest.raises(GatewayError, match=r"SESSION_LOST: no gateway answers any more at .*ask again"):
                await client.call("agent.intent", text="x")


async def test_a_token_that_expired_and_cannot_be_renewed_ends_the_session() -> None:
    async with peer(text(READY), close(4009)) as (url, _):
        with pytest.raises(GatewayError, match=r"TOKEN_EXPIRED: .* one\. Pass token as a function"):
            async with GatewayClient(url, token="a.b.c") as client:
                await client.call("agent.intent", text="x")


async def test_a_call_that_is_never_answered_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_gateway, "CALL_TIMEOUT_S", 0.1)
    async with peer(text(READY)) as (url, _), GatewayClient(url, user_id="u") as client:
        with pytest.raises(GatewayError, match="TIMEOUT: agent"):
            await client.call("agent.intent", text="x")


async def test_what_another_task_waits_for_ends_with_the_client() -> None:
    async def refused(asked: Coroutine[Any, Any, Any]) -> str:
        with pytest.raises(GatewayError) as raised:
            await asked
        return raised.value.code

    async with (
        peer(text(READY)) as (url, _),
        asyncio.TaskGroup() as group,
        AsyncJarvisClient(url, user_id="u") as client,
    ):
        events = group.create_task(anext(aiter(client.open(TurnParams(text="x"))), None), name="events")
        asked = client.call("ws.stats"), client.confirm("q", approve=True)
        answers = [group.create_task(refused(each), name="answer") for each in asked]
        await asyncio.sleep(0)
    assert events.result() is None
    assert [answer.result() for answer in answers] == ["CLOSED", "CLOSED"]


async def test_a_caller_that_waits_no_longer_leaves_nothing_behind() -> None:
    async with peer(opens=False) as (url, requests):
        before = asyncio.all_tasks()

        async def enter() -> None:
            async with AsyncJarvisClient(url, user_id="u"):
                pass

        entering = asyncio.get_running_loop().create_task(enter())
        while not requests:
            await asyncio.sleep(0.005)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert {task for task in asyncio.all_tasks() if task.get_name().startswith("gateway")} <= before


async def test_a_client_that_was_not_entered_answers_at_once() -> None:
    client = AsyncJarvisClient("http://127.0.0.1:1", user_id="u")
    with pytest.raises(GatewayError, match=r"CLOSED: .* inside of its `with` block"):
        await client.call("agent.intent", text="x")
    with pytest.raises(GatewayError, match="CLOSED"):
        await client.say("hello")
    with pytest.raises(GatewayError, match="CLOSED"):
        client.open(TurnParams(text="x"))
    with pytest.raises(GatewayError, match="CLOSED"):
        await client.ping()


async def test_what_was_refused_before_the_client_was_entered_is_not_done_afterwards() -> None:
    client = GatewayClient("http://127.0.0.1:1", user_id="u")
    for refused in (client.call("memory.forget", key="x"), client.confirm("q", approve=True)):
        with pytest.raises(GatewayError, match="CLOSED"):
            await refused
    client.connection.attach(0.0)
    client.connection.receive_text(READY, 0.0)
    assert not [sent for sent in client.connection.data_to_send() if "forget" in str(sent) or "confirm" in str(sent)]


async def test_a_channel_of_a_lost_session_does_nothing_in_the_next() -> None:
    """The gateway was restarted: the client's second socket begins a new session."""
    async with peer(text(READY)) as (url, _), GatewayClient(url, user_id="u") as client:
        speech = client.open(TtsParams())
        client.cut()
        for _again in range(2):
            assert [event async for event in speech] == []
        speech.cancel()  # no channel has that number yet
        assert client.open(TtsParams()).number == speech.number
        speech.send_text("old words")
        assert "old words" not in str(client.connection.data_to_send())


async def test_a_conversation_whose_gateway_was_restarted_says_so() -> None:
    async with peer(text(READY)) as (url, _), AsyncJarvisClient(url, user_id="u") as client:

        async def converse() -> None:
            async with client.turn() as turn:
                client.cut()
                async for _event in turn:
                    pass

        with pytest.raises(GatewayError, match="SESSION_LOST"):
            await converse()
        assert client.failed is None


async def test_a_client_that_is_entered_twice_says_so_and_stays_connected() -> None:
    async with peer(text(READY)) as (url, requests), GatewayClient(url, user_id="u") as client:
        with pytest.raises(GatewayError, match="WRONG_STATE: the client is connected already"):
            async with client:
                pass
        assert client.failed is None
    assert len(requests) == 1


async def test_parameters_that_json_cannot_hold(gateway: GatewayProcess) -> None:
    async with AsyncJarvisClient(gateway.base, user_id="odd") as client:
        for wrong in (object(), "\ud800"):
            with pytest.raises(GatewayError, match="INVALID_ARGUMENT"):
                await client.call("agent.intent", text=wrong)
        with pytest.raises(GatewayError, match=r"txt: Extra inputs.*/docs"):
            await client.call("agent.intent", txt="x")
        absent: Any = None
        with pytest.raises(GatewayError, match="INVALID_ARGUMENT: say takes text"):
            await client.say(absent)
        with pytest.raises(GatewayError, match="INVALID_ARGUMENT: say_audio takes bytes"):
            await client.say_audio(absent)


@pytest.mark.parametrize("session_id", ["a/b", "with space", "a" * 129, "é"])
async def test_a_session_id_that_no_path_holds(session_id: str) -> None:
    assert (await failure("http://127.0.0.1:1", session_id=session_id)).code == "INVALID_ARGUMENT"


async def test_what_an_unset_environment_variable_gives() -> None:
    absent: Any = None
    assert (await failure(absent)).code == "INVALID_URL"
    assert (await failure("http://127.0.0.1:1", token=absent)).code == "UNAUTHENTICATED"
    assert (await failure("http://127.0.0.1:1", token=lambda: absent)).code == "UNAUTHENTICATED"


def test_outside_of_a_loop() -> None:
    with pytest.raises(GatewayError, match="JarvisClient"):
        AsyncJarvisClient("http://127.0.0.1:8000", user_id="u")


def test_a_client_closed_in_another_thread_says_so(gateway: GatewayProcess) -> None:
    client = JarvisClient(gateway.base, user_id="threads")
    with client, client.turn() as turn:
        closing = threading.Timer(0.2, client.__exit__, (None, None, None))
        closing.start()
        with pytest.raises(GatewayError, match="CLOSED"):
            list(turn)
        closing.join()


def test_a_client_is_not_entered_twice(gateway: GatewayProcess) -> None:
    with JarvisClient(gateway.base, user_id="threads") as client:
        with pytest.raises(GatewayError, match="WRONG_STATE"), client:
            pass
        assert client.call("agent.intent", text="what time is it")["intent"] == "get_time"


def test_no_thread_waits_for_a_client_that_is_being_closed(gateway: GatewayProcess) -> None:
    """A call that is handed over while the session ends is told so, too."""
    ended: list[str] = []

    def ask_on(client: JarvisClient) -> None:
        try:
            while True:
                client.call("ws.stats")
        except GatewayError as refused:
            ended.append(refused.code)

    for _ in range(8):
        with JarvisClient(gateway.base, user_id="threads") as client:
            threads = [threading.Thread(target=ask_on, args=(client,), daemon=True) for _ in range(6)]
            for thread in threads:
                thread.start()
        for thread in threads:
            thread.join(10)
    assert set(ended) <= {"CLOSED", "RATE_LIMITED"}
    assert len(ended) == 8 * 6


def interrupt_soon(ready: threading.Event) -> None:
    """Ctrl-C in the main thread, shortly after `ready`."""

    def press() -> None:
        assert ready.wait(10)
        time.sleep(0.1)  # into the waiting that follows
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()


def test_ctrl_c_while_connecting_leaves_no_thread_and_no_socket() -> None:
    asked = threading.Event()
    came: list[socket.socket] = []

    def answer_nothing() -> None:
        came.append(server.accept()[0])
        asked.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer_nothing, daemon=True).start()
        interrupt_soon(asked)
        client = JarvisClient(f"http://127.0.0.1:{server.getsockname()[1]}", user_id="u")
        with pytest.raises(KeyboardInterrupt):
            client.__enter__()
        assert not [thread for thread in threading.enumerate() if thread.name == "jarvis client"]
        with came[0] as accepted:
            accepted.settimeout(60)
            while accepted.recv(4096):
                pass  # the request; then the end


def test_ctrl_c_during_a_question_does_not_wait_for_its_answer(gateway: GatewayProcess) -> None:
    asked, never = threading.Event(), threading.Event()

    def approve(_question: TaskConfirmationRequired) -> bool:
        asked.set()
        return never.wait(60)

    interrupt_soon(asked)
    client = JarvisClient(gateway.base, token=gateway.token)
    client.__enter__()
    client.say("remember that my favourite tree is an elm")
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        client.say("forget about my favourite tree", approve=approve)
    client.__exit__()
    assert time.monotonic() - began < 30
    assert not [thread for thread in threading.enumerate() if thread.name == "jarvis client"]
    never.set()


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (lambda client: client.call(5), "no operation is called 5"),
        (lambda client: client.say("hi", timeout_s="1"), "timeout_s: '1'. Pass a number"),
        (lambda client: client.turn(source=5), "no source of speech: 5. Pass a Microphone"),
        (lambda client: client.wait_for(client._connected().confirm("q", approve="maybe")), "approve: Input should be"),
    ],
    ids=["operation", "timeout", "source", "approval"],
)
def test_an_argument_of_another_type_is_told(gateway: GatewayProcess, mistake: Any, told: str) -> None:
    with JarvisClient(gateway.base, user_id="types") as client, pytest.raises(GatewayError, match=told):
        mistake(client)
