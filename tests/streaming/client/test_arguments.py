"""A wrong argument is told at once and by its name, whatever is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streaming.client import (
    AsyncJarvisClient,
    GatewayClient,
    GatewayError,
    JarvisClient,
    Microphone,
    Reply,
    SttParams,
    TtsParams,
    TurnParams,
    WavFile,
)
from streaming.client.arguments import check_seconds
from streaming.client.dialogue import REPORT_MS, Dialogue
from streaming.protocol.events import AudioReceived

if TYPE_CHECKING:
    from collections.abc import Callable


class Silent:
    """Has no `repr`."""

    def __repr__(self) -> str:
        raise RuntimeError


NOWHERE = "http://127.0.0.1:1"
WHO: dict[str, Any] = {"user_id": "u"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"session_id": 7}, "INVALID_ARGUMENT: session_id: 7"),
        ({"session_id": None}, "INVALID_ARGUMENT: session_id: None"),
        ({"session_id": "a b"}, "INVALID_ARGUMENT: session_id: 'a b'"),
        ({"user_id": 7}, "INVALID_ARGUMENT: user_id: 7"),
        ({"user_id": "\ud800"}, r"INVALID_ARGUMENT: user_id: '\\ud800'"),
        ({"record": 10**5_000}, "INVALID_ARGUMENT: record: <int>"),
        ({"session_id": Silent()}, "INVALID_ARGUMENT: session_id: <Silent>"),
        ({"record": "yes"}, "INVALID_ARGUMENT: record: 'yes'"),
        ({"token": 7}, "UNAUTHENTICATED: the token must be a string, not 7"),
        ({"token": None}, "UNAUTHENTICATED: the token must be a string, not None"),
        ({"token": "a b"}, "UNAUTHENTICATED: the token has characters"),
        ({"url": 7}, "INVALID_URL"),
    ],
    ids=lambda given: given if isinstance(given, str) else next(iter(given)),
)
@pytest.mark.parametrize("client", [GatewayClient, AsyncJarvisClient, JarvisClient])
async def test_a_client_that_cannot_be_is_not_made(client: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(GatewayError, match=told):
        client(**{"url": NOWHERE, **WHO, **given})


async def test_a_function_that_gives_an_empty_token_is_told() -> None:
    with pytest.raises(GatewayError, match="UNAUTHENTICATED: the function for tokens gave an empty one"):
        async with GatewayClient(NOWHERE, token=str):
            pass


async def wrong_turn(client: AsyncJarvisClient) -> None:
    client.turn(approve=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda client: client.say(7), "say takes text, not 7"),
        (lambda client: client.say("x", reply="video"), "reply: "),
        (lambda client: client.say("x", approve=True), "approve: True. Pass a function"),
        (lambda client: client.say("x", timeout_s=-1), "timeout_s: -1"),
        (lambda client: client.say("x", timeout_s=float("nan")), "timeout_s: nan"),
        (lambda client: client.say("x", timeout_s=True), "timeout_s: True"),
        (lambda client: client.say("x", timeout_s=10**400), "timeout_s: 1000"),
        (lambda client: client.say("x", timeout_s=10**5_000), "timeout_s: <int>"),
        (lambda client: client.say_audio(bytes(2), np.zeros(2, np.int16)), "sample_rate: array"),
        (lambda client: client.say_audio("x"), "say_audio takes bytes"),
        (lambda client: client.say_audio(bytes(2), "16000"), "sample_rate: '16000'"),
        (lambda client: client.say_audio(bytes(2), 16_000.0), "sample_rate: 16000.0"),
        (lambda client: client.say_audio(bytes(2), 0), "sample_rate: 0"),
        (lambda client: client.say_audio(bytes(2), 7), "sample_rate: Input should be greater"),
        (wrong_turn, "approve: True. Pass a function"),
    ],
)
async def test_a_question_that_cannot_be_asked(act: Callable[[AsyncJarvisClient], Any], told: str) -> None:
    with pytest.raises(GatewayError, match=f"INVALID_ARGUMENT: {told}"):
        await act(AsyncJarvisClient(NOWHERE, **WHO))


def test_devices_and_files() -> None:
    for rate in ("16000", 16_000.0, 0, True, None):
        with pytest.raises(GatewayError, match="INVALID_ARGUMENT: sample_rate"):
            Microphone(rate)  # type: ignore[arg-type]
    with pytest.raises(GatewayError, match="INVALID_ARGUMENT: path: 7"):
        Reply().save(7)  # type: ignore[arg-type]
    for path in ("a\0b", "\ud800", 7, None, b"a.wav"):
        with pytest.raises(GatewayError, match="INVALID_ARGUMENT: path: "):
            WavFile(path)  # type: ignore[arg-type]
        with pytest.raises(GatewayError, match="INVALID_ARGUMENT: path: "):
            Reply().save(path)  # type: ignore[arg-type]


async def test_numbers_of_numpy_are_numbers() -> None:
    assert Microphone(np.int64(16_000)).sample_rate == 16_000  # type: ignore[arg-type]
    turn = AsyncJarvisClient(NOWHERE, **WHO).turn(sample_rate=np.int32(8_000))
    assert (turn._params.sample_rate, type(turn._params.sample_rate)) == (8_000, int)
    assert check_seconds("timeout_s", np.float32(0.5)) == 0.5
    assert check_seconds("timeout_s", np.int64(2)) == 2
    client = await connected()
    speech = client.open(SttParams())
    speech.send_audio(b"xx", np.int64(20))  # type: ignore[arg-type]
    speech.played(b"", np.int64(20))  # type: ignore[arg-type]


async def connected() -> GatewayClient:
    """A client whose connection nobody reads."""
    client = GatewayClient(NOWHERE, **WHO)
    client._group = Any  # type: ignore[assignment] # as if it were entered
    return client


@pytest.mark.parametrize("params", [None, {"kind": "turn"}, "turn", TurnParams, 7])
async def test_what_are_no_parameters(params: Any) -> None:
    client = await connected()
    with pytest.raises(GatewayError, match="INVALID_ARGUMENT: params"):
        client.open(params)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda speech, _: speech.send_audio("x"), "INVALID_ARGUMENT: frame: 'x'"),
        (lambda speech, _: speech.send_audio(b"xx", -1), "INVALID_ARGUMENT: pts_ms: -1"),
        (lambda speech, _: speech.send_audio(b"xx", 0.5), "INVALID_ARGUMENT: pts_ms: 0.5"),
        (lambda speech, _: speech.played("x", 0), "INVALID_ARGUMENT: frame: 'x'"),
        (lambda speech, _: speech.played(b"", "x"), "INVALID_ARGUMENT: played_ms: 'x'"),
        (lambda speech, _: speech.credit(7), "INVALID_ARGUMENT: frame: 7"),
        (lambda _, text: text.send_text(7), "INVALID_ARGUMENT: text: 7"),
        (lambda speech, _: (speech.end(), speech.commit()), "WRONG_STATE: "),
    ],
)
async def test_a_channel_is_given_something_else(act: Callable[[Any, Any], Any], told: str) -> None:
    client = await connected()
    speech, text = client.open(SttParams()), client.open(TtsParams())
    with pytest.raises(GatewayError, match=told):
        act(speech, text)


async def test_fast_speech_is_reported_now_and_then_and_at_its_end() -> None:
    told: list[int] = []
    given_back = 0

    class Channel:
        def credit(self, frame: bytes) -> None:
            nonlocal given_back
            given_back += len(frame)

        def played(self, frame: bytes, played_ms: int) -> None:
            self.credit(frame)
            told.append(played_ms)

    turn = Dialogue(GatewayClient(NOWHERE, **WHO), TurnParams())
    turn.channel = Channel()  # type: ignore[assignment]
    for number in range(1_500):  # a minute
        await turn._play(AudioReceived(1, bytes(1_280), number * 40, False, False, 0, number))
    await turn._play(AudioReceived(1, b"", 60_000, True, False, 0, 1_500))
    assert given_back == 1_500 * 1_280
    assert len(told) <= 60_000 // REPORT_MS + 2
    assert (told[0], told[-1]) == (40, 60_000)
    await turn._play(AudioReceived(1, bytes(1_280), 0, False, False, 0, 1_501))
    assert told[-1] == 40  # the next utterance
