"""`tts`: text to speak."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from streaming.lanes.base import Lane
from streaming.ports import ServiceError, SynthesisConfig
from streaming.sound.utterance import Utterance

if TYPE_CHECKING:
    from streaming.agent.format import ReplyFormat
    from streaming.outlet import LaneSetup, SpeechPosition

MAX_TEXT_CHARS = 20_000  # a quarter of an hour of speech; send longer texts as several utterances


class TtsLane(Lane):
    """Text in, whole or in pieces; audio out as it is made, paced by what the client has played."""

    def __init__(self, setup: LaneSetup, speech: ReplyFormat, text: str | None, *, counts: bool = True) -> None:
        """`counts`: against the user's limit; not what the gateway itself says, which waits for what was said before."""
        super().__init__(setup)
        self._quota = self._provided.quota if counts else None
        config = SynthesisConfig(speech.voice, speech.speed, speech.language)
        self._stream = self._services.tts.synthesize(config, self._context)
        self._questions = setup.questions
        self._ended = False
        self._counted = False  # against the user's limit: until then nothing is said
        self._counted_as = uuid.uuid4().hex
        self._utterance = Utterance(
            self._stream,
            self._outlet,
            encoding=speech.encoding,
            sample_rate_hz=speech.sample_rate_hz,
            clock=self._listening_clock,
            sounding=setup.sounding,
        )
        if text is not None:
            self.text(text)
            self.end()

    def save(self) -> dict[str, Any]:
        return {
            "text": self._utterance.text,
            "ended": self._ended,
            "utterance": self._utterance.save(),
            "counted": self._counted,
            "counted_as": self._counted_as,
        }

    def restore(self, saved: dict[str, Any], position: SpeechPosition) -> None:
        self._utterance.restore(saved["utterance"], position.sent_pts_ms)
        self._counted_as = saved.get("counted_as", self._counted_as)
        if not self._utterance.text:
            self.text(saved["text"])
        if saved["ended"] and not self._ended:
            self.end()
        if saved.get("counted", True):  # an older replica has not saved it
            self._begin()

    def _begin(self) -> None:
        """Give the voice the text so far. What follows goes to it at once."""
        self._counted = True
        if self._utterance.text:
            self._stream.send_text(self._utterance.text)
        if self._ended:
            self._end_text()

    async def run(self) -> None:
        """Speak the whole text and wait until it was heard: after a move, another replica could not repeat what is in flight."""
        if not self._counted:
            if self._quota is not None:
                await self._quota.take_speech(self._context, self._counted_as)
            self._begin()
        await self._utterance.play()
        await self._utterance.played_out()
        self._questions.replied(self._utterance.text)
        self._questions.heard_out()

    def forget(self) -> None:
        self._stream.cancel()

    def text(self, piece: str) -> None:
        """Take the next piece of text."""
        if len(self._utterance.text) + len(piece) > MAX_TEXT_CHARS:
            msg = f"an utterance may have {MAX_TEXT_CHARS} characters"
            raise ServiceError("TEXT_TOO_LONG", msg)
        self._utterance.text += piece
        if self._counted:
            self._stream.send_text(piece)

    def playback(self, played_ms: int) -> None:
        """Report how much the client has played."""
        self._utterance.report(played_ms)

    def end(self) -> None:
        """End the text."""
        self._ended = True
        if self._counted:
            self._end_text()

    def _end_text(self) -> None:
        self._questions.replied(self._utterance.text)
        self._stream.end()
