"""Speech that nobody takes ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streaming.jarvis.outlet import NO_CREDIT_S
from tests.support.house import House, housed
from tests.support.live_speech import FRAME_BYTES, LiveSpeech

if TYPE_CHECKING:
    import pytest

    from tests.support.world import World


def test_speech_for_which_no_credit_comes_ends_and_the_session_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(house: House, world: World) -> None:
        speech = LiveSpeech()
        monkeypatch.setattr(world, "synthesize", lambda _config, _context: speech)
        socket = await house.enter()
        socket.say(type="channel.open", channel=3, kind="tts", params={"text": "one"}, credit=2 * FRAME_BYTES)
        await socket.until("tts.started", channel=3)
        for _ in range(4):
            speech.arrive()
        while not socket.of("channel.closed", channel=3):
            await asyncio.sleep(10)
            socket.say(type="ping", t=1)  # it is there
            assert asyncio.get_running_loop().time() < 2 * NO_CREDIT_S
        closed = socket.of("channel.closed", channel=3)[0]
        assert (closed["status"], closed["code"]) == ("error", "CANCELLED")
        assert len(socket.frames) == 2
        assert speech.cancelled
        assert socket.ended is None

    housed(test)
