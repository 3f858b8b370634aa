"""Three replicas with one Redis: whichever dies or is restarted, clients go on at another, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from streaming.client import GatewayClient
from streaming.protocol import events, messages
from streaming.protocol.messages import SttParams, TtsParams
from tests.support.gateway import Heard, listen, say, speech
from tests.support.replicas import Replicas, balanced, running_replicas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.client import ClientChannel

pytestmark = pytest.mark.gen_test(timeout=90)

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
def replicas(tmp_path_factory: pytest.TempPathFactory, redis_of_all: str) -> Iterator[Replicas]:
    with running_replicas(tmp_path_factory.mktemp("replicas"), 3, redis_of_all, DRAIN_SECONDS="3") as running:
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
    assert transcript.texts() == ["what time is it"]


async def play(channel: ClientChannel, heard: Heard) -> Heard:
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
        playing = asyncio.ensure_future(play(client.open(TtsParams(text=" ".join([LONG] * 3))), Heard()))
        restart = partial(asyncio.get_running_loop().run_in_executor, None, replicas.restart)
        codes = [await restart(gateway) for gateway in list(replicas.gateways)]
        heard = await playing
    assert codes == [0, 0, 0]
    assert is_whole(heard)
