"""Every failure of the client is a GatewayError that says what to do."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from streaming.client import AsyncJarvisClient, GatewayClient, GatewayError, JarvisClient, Reply, TurnParams, WavFile
from tests.conftest import HANG_S
from tests.support.gateway import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.gateway import GatewayProcess


@asynccontextmanager
async def answering(text: str) -> AsyncIterator[str]:
    """A server that gives one answer to everything; its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(text.encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def failure(url: str, **options: Any) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        async with GatewayClient(url, **{"user_id": "u", **options}):
            pass
    assert raised.value.advice
    return raised.value


async def test_nobody_is_there() -> None:
    failed = await failure(f"http://127.0.0.1:{free_port()}")
    assert failed.code == "UNAVAILABLE"
    assert "make run" in str(failed)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "NOT_A_GATEWAY"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "NOT_A_GATEWAY"),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "UNAUTHENTICATED"),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "PERMISSION_DENIED"),
        ("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "RATE_LIMITED"),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "UNAVAILABLE"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "UNAVAILABLE"),
        ("", "UNAVAILABLE"),
    ],
)
async def test_somebody_else_is_there(answer: str, code: str) -> None:
    async with answering(answer) as url:
        assert (await failure(url)).code == code


async def test_tls_where_there_is_none() -> None:
    async with answering("HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        assert (await failure(url.replace("http", "https"))).code == "UNAVAILABLE"


@pytest.mark.parametrize("token", ["with space", "line\nbreak", "schlüssel"])
async def test_a_token_that_is_none(token: str) -> None:
    assert (await failure("http://127.0.0.1:1", token=token)).code == "UNAUTHENTICATED"


async def test_a_wrong_token(gateway: GatewayProcess) -> None:
    failed = await failure(gateway.base, token="not.a.token")
    assert failed.code == "BAD_TOKEN"
    assert "jarvis-gateway token" in str(failed)


async def test_no_token_at_all_is_told_at_once(gateway: GatewayProcess) -> None:
    failed = await failure(gateway.base, user_id="")
    assert failed.code == "BAD_TOKEN"
    assert "no token came with the handshake" in str(failed)


async def test_a_function_for_tokens_is_asked_before_each_connection(gateway: GatewayProcess) -> None:
    given: list[str] = []

    async def token() -> str:
        given.append(gateway.token)
        return gateway.token

    async with AsyncJarvisClient(gateway.base, token=token) as client:
        assert len(given) == 1
        client.cut()
        assert (await client.call("agent.intent", text="what time is it"))["intent"] == "get_time"
    assert len(given) == 2


async def test_a_function_for_tokens_that_fails() -> None:
    def token() -> str:
        raise RuntimeError("the vault is closed")

    failed = await failure("http://127.0.0.1:1", token=token)
    assert "the vault is closed" in failed.message
    assert "gateway" not in str(failed), "it was not even asked"


async def test_an_error_of_the_users_own_code_is_not_a_cancelled_task(gateway: GatewayProcess) -> None:
    class Broken:
        sample_rate = 16_000

        def frames(self) -> AsyncIterator[bytes]:
            raise RuntimeError("the cable is loose")

    async with AsyncJarvisClient(gateway.base, token=gateway.token) as client:
        async with client.turn(Broken()) as turn:
            with pytest.raises(GatewayError, match="the cable is loose"):
                _ = [event async for event in turn]
        client.open(TurnParams()).cancel()  # the session goes on


async def test_wrong_parameters_of_a_turn(gateway: GatewayProcess) -> None:
    async with AsyncJarvisClient(gateway.base, token=gateway.token) as client:
        with pytest.raises(GatewayError, match="INVALID_ARGUMENT: speed"):
            client.turn(speed=9.0)
        with pytest.raises(GatewayError, match="INVALID_ARGUMENT: colour"):
            client.turn(colour="red")


async def test_more_questions_at_once_than_a_session_may_have(gateway: GatewayProcess) -> None:
    """Those that the gateway refuses end at once, with its reason."""
    async with AsyncJarvisClient(gateway.base, token=gateway.token) as client:
        asked = [client.say("what time is it", timeout_s=HANG_S) for _ in range(30)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in answers if not isinstance(answer, Reply)]
        assert {getattr(each, "code", each) for each in refused} == {"TOO_MANY_CHANNELS"}
        assert "under way" in str(refused[0])
        assert "It is" in str(await client.say("what time is it")), "the session goes on"


async def test_speech_of_half_a_sample(gateway: GatewayProcess) -> None:
    async with AsyncJarvisClient(gateway.base, token=gateway.token) as client:
        with pytest.raises(GatewayError, match="whole 16-bit samples") as raised:
            await client.say_audio(b"\0" * 3201, 16_000)
        assert "16-bit mono PCM" in raised.value.advice


async def test_an_answer_that_does_not_come(gateway: GatewayProcess) -> None:
    async with AsyncJarvisClient(gateway.base, token=gateway.token) as client:
        with pytest.raises(GatewayError, match="TIMEOUT: no answer within 0 s"):
            await client.say("what time is it", timeout_s=0)
        assert "It is" in str(await client.say("what time is it")), "the session goes on"


def test_a_client_that_is_not_open() -> None:
    with pytest.raises(GatewayError, match="with"):
        JarvisClient(user_id="u").say("hello")


def test_the_blocking_client_fails_alike() -> None:
    with pytest.raises(GatewayError, match="make run"), JarvisClient(f"127.0.0.1:{free_port()}", user_id="u"):
        pass
    with pytest.raises(GatewayError, match="is empty"), JarvisClient("", user_id="u"):
        pass


@pytest.mark.parametrize("content", [b"", b"RIFF", b"ID3 music"])
def test_a_file_that_is_no_speech(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(content)
    with pytest.raises(GatewayError, match="WAV"):
        WavFile(file)


async def test_a_newer_gateway_is_told_of_politely(caplog: pytest.LogCaptureFixture, gateway: GatewayProcess) -> None:
    body = json.dumps({"version": "9.0.0"})
    client = AsyncJarvisClient(gateway.base, token=gateway.token)
    async with answering(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}") as url:
        client.address = url.replace("http", "ws")
        with caplog.at_level(logging.WARNING, logger="jarvis_client"):
            await client._compare_versions()
    assert client.server_version == "9.0.0"
    assert [record.message.startswith("the gateway is version 9.0.0") for record in caplog.records] == [True]


def test_a_reply_that_cannot_be_saved(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GatewayError, match="NOT_SAVED"):
        Reply(audio=bytes(320), sample_rate=16_000).save(tmp_path / "none" / "reply.wav")
    gc.collect()  # the wave module's half-open files complained when they were collected
    assert capfd.readouterr().err == ""
