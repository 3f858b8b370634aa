"""Three replicas with one Redis: if one dies or is restarted, its clients continue at another, and nothing is lost or duplicated."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from streaming.client.errors import GatewayError
from streaming.client.gateway import GatewayClient
from streaming.protocol import events, messages
from streaming.protocol.messages import ExecuteParams, ObserveParams, SttParams, TtsParams, TurnParams
from tests.support.gateway import Heard, listen, say, speech
from tests.support.replicas import Balancer, Replicas, balanced, running_replicas

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from streaming.client.channel import GatewayChannel


LONG = "One two three four five six seven eight nine ten. Eleven twelve thirteen fourteen fifteen sixteen."
CUT_BYTES = 640 * 30


@pytest.fixture(scope="module")
def redis_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from tests.conftest import RedisServer

    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def replicas(
    tmp_path_factory: pytest.TempPathFactory, redis_of_all: str, services: dict[str, str]
) -> Iterator[Replicas]:
    settings = {"REDIS_URL": redis_of_all, "DRAIN_SECONDS": "2", "WS_MAX_SOCKETS_PER_USER": "1000"}
    with running_replicas(tmp_path_factory.mktemp("replicas"), 3, **(services | settings)) as running:
        yield running


def is_whole(heard: Heard) -> bool:
    """Every 40 ms of the utterance, once, in order, and as long as was said."""
    (done,) = heard.of(messages.TtsDone)
    return heard.pts_ms == list(range(0, done.duration_ms, 40))


async def test_a_replica_is_killed_in_the_middle_of_speech_and_of_an_utterance(replicas: Replicas) -> None:
    pcm = speech("flite-slt-what-time-is-it")
    async with balanced(replicas) as balancer, GatewayClient(balancer.url, token=replicas.token) as client:
        assert client.ready is not None
        epoch = client.ready.epoch
        first = replicas.serving(balancer.last_port)
        spoken, microphone = client.open(TtsParams(text=LONG)), client.open(SttParams())
        say(microphone, pcm[:CUT_BYTES])
        heard = Heard()
        await listen(spoken, heard, until=messages.TtsWords)
        replicas.kill(first)
        say(microphone, pcm[CUT_BYTES:])
        microphone.end()
        await listen(spoken, heard)
        transcript = await listen(microphone)
        assert client.connection.epoch == epoch
        assert balancer.last_port != first.port
    replicas.add()
    assert is_whole(heard)
    assert len(heard.of(messages.TtsStarted)) == 1
    assert [word.text for told in heard.of(messages.TtsWords) for word in told.words] == LONG.split()
    assert transcript.said() == ["what time is it"]


async def play(channel: GatewayChannel, heard: Heard) -> Heard:
    """As a loudspeaker that reports nothing: the gateway takes it to play in real time."""
    async for event in channel:
        if isinstance(event, events.AudioReceived):
            channel.credit(event.payload)
            heard.audio += event.payload
            heard.pts_ms += [event.pts_ms] if event.payload else []
        else:
            heard.messages.append(event)
    return heard


async def test_a_rolling_restart_is_not_heard(replicas: Replicas) -> None:
    async with balanced(replicas) as balancer, GatewayClient(balancer.url, token=replicas.token) as client:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(play(client.open(TtsParams(text=" ".join([LONG] * 2))), Heard()))
            codes = [await loop.run_in_executor(None, replicas.restart, gateway) for gateway in list(replicas.gateways)]
        heard = playing.result()
    assert codes == [0, 0, 0]
    assert is_whole(heard)


async def test_a_session_is_observed_from_another_replica_and_followed_when_it_moves(replicas: Replicas) -> None:
    token = replicas.gateways[0].own_token("ada", "user")
    async with (
        balanced(replicas) as balancer,
        GatewayClient(balancer.url, session_id="kitchen", token=token) as client,
        GatewayClient(replicas_apart(replicas, balancer), token=token) as observer,
    ):
        seen = observer.open(ObserveParams(session_id="kitchen", audio=True))
        await speak_until(client, until_heard(seen))
        killed = balancer.last_port
        replicas.kill(replicas.serving(killed))
        await speak_until(client, until_heard(seen))
        assert balancer.last_port != killed
    replicas.add()


async def speak_until(client: GatewayClient, done: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(done)
        while not watching.done():
            await listen(client.open(TtsParams(text="One two.")))


async def until_heard(channel: GatewayChannel) -> None:
    """Until the observer has seen words and heard them."""
    words, sounds = 0, 0
    async for event in channel:
        if isinstance(event, events.AudioReceived):
            channel.credit(event.payload)
            sounds += len(event.payload)
        elif isinstance(event, messages.ObserveEvent):
            words += event.message["type"] == "tts.words"
        if words and sounds:
            return
    raise AssertionError(f"the observer lost the session: {channel.closed}")


async def test_a_session_of_somebody_else_is_not_there_for_an_observer(replicas: Replicas) -> None:
    owner, other = (replicas.gateways[0].own_token(name, "user") for name in ("ada", "bob"))
    async with (
        balanced(replicas) as balancer,
        GatewayClient(balancer.url, session_id="attic", token=owner),
        GatewayClient(replicas_apart(replicas, balancer), token=other) as observer,
    ):
        channel = observer.open(ObserveParams(session_id="attic"))
        await listen(channel)
        assert channel.closed is not None
        assert channel.closed.code == "NOT_FOUND"


def replicas_apart(replicas: Replicas, balancer: Balancer) -> str:
    """The address of a replica that the newest connection did not go to."""
    return next(gateway.ws for gateway in replicas.gateways if gateway.port != balancer.last_port)


async def test_a_conversation_survives_the_death_of_each_replica_it_is_on(replicas: Replicas) -> None:
    """Killed while somebody speaks, and again while the answer is spoken: the turn is what it would have been."""
    pcm = speech("flite-slt-what-time-is-it")
    async with balanced(replicas) as balancer, GatewayClient(balancer.url, token=replicas.token) as client:
        turn = client.open(TurnParams())
        heard = Heard()
        say(turn, pcm[: 2 * CUT_BYTES])
        await listen(turn, heard, until=messages.SttSpeechStarted)
        replicas.kill(replicas.serving(balancer.last_port))
        say(turn, pcm[2 * CUT_BYTES :])
        await listen(turn, heard, until=messages.TtsStarted, at_once=False)
        replicas.kill(replicas.serving(balancer.last_port))
        turn.end()
        await play(turn, heard)
    for _ in range(2):
        replicas.add()
    assert heard.said() == ["what time is it"]
    assert len(heard.replies()) == 1
    assert heard.replies()[0].startswith("It is ")
    assert [done.status for done in heard.of(messages.TurnDone)] == ["ok"]
    assert is_whole(heard)


async def test_hundreds_of_sessions_move_when_their_replica_is_restarted(replicas: Replicas) -> None:
    token = replicas.token
    all_there = asyncio.Barrier(201)  # a client that has never got in is told that there is no gateway

    async def converse(url: str, number: int) -> tuple[str, list[int]]:
        async with GatewayClient(url, session_id=f"crowd-{number}", token=token) as client:
            epoch = client.connection.epoch
            await all_there.wait()
            answers: list[int] = []
            for count in range(3):
                await client.call("memory.store", key=f"k{number}", value=count)
                await asyncio.sleep(1)
                answers.append((await client.call("memory.retrieve", key=f"k{number}"))["value"])
            assert client.connection.epoch == epoch
            return client.session_id, answers

    async with balanced(replicas) as balancer:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            talks = [group.create_task(converse(balancer.url, number)) for number in range(200)]
            await all_there.wait()
            for gateway in list(replicas.gateways):
                assert await loop.run_in_executor(None, replicas.restart, gateway) == 0
    assert [talk.result() for talk in talks] == [(f"crowd-{number}", [0, 1, 2]) for number in range(200)]


async def test_a_second_socket_elsewhere_takes_the_session_over_and_a_stranger_does_not(replicas: Replicas) -> None:
    ada, bob = (replicas.gateways[0].own_token(name, "user") for name in ("ada", "bob"))
    first, second = replicas.gateways[:2]
    async with GatewayClient(first.ws, session_id="desk", token=ada) as client:
        with pytest.raises(GatewayError, match="FORBIDDEN"):
            async with GatewayClient(second.ws, session_id="desk", token=bob):
                pass
        assert await client.call("agent.intents")
        async with GatewayClient(second.ws, session_id="desk", token=ada) as other:
            assert await other.call("agent.intents")
            assert await why_refused(client) == "SESSION_TAKEN_OVER"


async def test_a_token_that_is_signed_out_at_one_replica_closes_its_sockets_at_another(replicas: Replicas) -> None:
    first, second = replicas.gateways[:2]
    token = first.own_token("ada", "user")
    async with GatewayClient(second.ws, token=token) as client:
        request = HTTPRequest(f"{first.base}/api/v1/auth/logout", "POST", {"Authorization": f"Bearer {token}"}, body="")
        assert (await AsyncHTTPClient().fetch(request)).code == 204
        assert await why_refused(client) == "BAD_TOKEN"


async def why_refused(client: GatewayClient) -> str:
    """Ask until the gateway will not have us any more."""
    while True:
        try:
            await client.call("agent.intents")
        except GatewayError as refused:
            if refused.code != "RATE_LIMITED":
                return refused.code
            await asyncio.sleep(0.1)  # its rate allows some more then


async def test_what_a_killed_replica_asked_has_nothing_left_to_approve(replicas: Replicas) -> None:
    asker, other = replicas.gateways[:2]
    token = replicas.token
    mkdir = ExecuteParams(executor="os", action="mkdir", parameters={"args": ["never-made"]})
    async with (
        GatewayClient(other.ws, token=token) as witness,
        GatewayClient(asker.ws, token=token) as client,
    ):
        asked = [await listen(client.open(mkdir), until=messages.TaskConfirmationRequired) for _ in range(3)]
        by_message, by_rest, declined = (heard.messages[-1].confirmation_id for heard in asked)
        replicas.kill(asker)
        with pytest.raises(GatewayError, match="no open question"):
            await witness.confirm(by_message, approve=True)
        answer = await AsyncHTTPClient().fetch(
            HTTPRequest(
                f"{other.base}/api/v1/executor/confirmations/{by_rest}",
                method="POST",
                body='{"approve":true}',
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            ),
            raise_error=False,
        )
        assert answer.code == 404
        await witness.confirm(declined, approve=False)
    replicas.add()
