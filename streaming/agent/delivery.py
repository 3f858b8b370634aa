"""Delivers one turn's words to the user: spoken, paused by sounds, ended by words, or resumed."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streaming.agent.apologies import apology
from streaming.domain import TurnContinued, TurnInterrupted, TurnPaused, TurnReply
from streaming.ports import ServiceError, SynthesisConfig
from streaming.sound.utterance import Utterance

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.agent.format import ReplyFormat
    from streaming.domain import LaneEvent
    from streaming.outlet import LaneSetup
    from streaming.ports import CallContext, SynthesisStream
    from streaming.sound.echo import FarEnd

MAX_UNSAID = 3  # sentences in a row that cannot be said: then it is not the words that are at fault
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|\n+|\Z")


@dataclass(slots=True)
class Pause:
    """A reply paused by a sound. `words_followed` is set once that is known."""

    heard_ms: int
    heard_text: str
    words_followed: asyncio.Future[bool]


class Delivery:
    """The reply, which may still be growing, and words besides it: questions, and remarks that work takes long.

    `tell` takes events, `trouble` failures. `on_first_audio` is called when the reply starts to play, `on_interrupted` when words
    have ended it. `floor` is held while something is spoken.
    """

    def __init__(
        self,
        setup: LaneSetup,
        context: CallContext,
        turn_id: str,
        reply: ReplyFormat,
        far_end: FarEnd | None,
        tell: Callable[[LaneEvent], None],
        trouble: Callable[[ServiceError], None],
        on_first_audio: Callable[[], None],
        on_interrupted: Callable[[], None],
        floor: asyncio.Lock,
    ) -> None:
        self._setup = setup
        self._context = context
        self._turn_id = turn_id
        self._format = reply
        self._aloud = reply.audio  # False also once the voice is gone: the rest of the reply is text
        self._far_end = far_end
        self._tell = tell
        self._trouble = trouble
        self._on_first_audio = on_first_audio
        self._on_interrupted = on_interrupted
        self.reply = ""
        self.said = ""  # the part of the reply before the current utterance
        self.spoken = False  # True if the reply was spoken to its end, or until words interrupted it
        self.unsaid = 0  # sentences that could not be said
        self._failing: Utterance | None = None  # the one that the voice could not finish
        self.aside = ""  # what is being spoken besides the reply
        self._one_at_a_time = floor
        self._growing = False  # True while more words of the reply are being made
        self._grown = asyncio.Event()  # set when there are more words, or when no more will come
        self._takes_words: SynthesisStream | None = None  # speaks the words of a growing reply as they come
        self._utterance: Utterance | None = None
        self._pause: Pause | None = None
        self._paused_ms: int | None = None  # on another replica, by a sound that is heard again here
        # An utterance begun on another replica, and how much of it was sent.
        self._begun_elsewhere: tuple[dict[str, Any], int] | None = None

    # --- on another replica ---

    def save(self) -> dict[str, Any]:
        """What another replica needs to continue, as JSON."""
        # Words besides the reply are repeated by the other replica.
        speaking, pause = (None, None) if self.aside else (self._utterance if self.speaking else None, self._pause)
        begun, _ = self._begun_elsewhere or (None, -1)  # it may move on before it is spoken here
        return {
            "reply": self.reply,
            "said": pause.heard_text if pause else self.said,
            "spoken": self.spoken,
            "paused_ms": pause.heard_ms if pause else self._paused_ms,
            "utterance": speaking.save() if speaking else begun,
        }

    def restore(self, saved: dict[str, Any], sent_pts_ms: int) -> None:
        """Continue where another replica stood."""
        self.reply, self.said, self.spoken = saved["reply"], saved["said"], saved["spoken"]
        self._paused_ms = saved["paused_ms"]
        if saved["utterance"] is not None:
            self._begun_elsewhere = saved["utterance"], sent_pts_ms

    # --- what the turn calls ---

    async def give(self, reply: str) -> str:
        """Give the whole answer; returns the part of it that was heard."""
        self.reply = reply
        self._tell(TurnReply(self._turn_id, reply))
        if not reply:
            return reply
        await self.speak()
        return self.heard

    @property
    def heard(self) -> str:
        """The part of the reply that was heard, once it is over."""
        return self.said if self._aloud else self.reply

    def add_words(self, words: str, *, last: bool, cut: bool = False) -> None:
        """Add words to a growing reply, whose beginning `speak` may already be speaking."""
        self._growing, self.spoken = not last, not self._aloud
        self.reply += words
        self._tell(TurnReply(self._turn_id, words, more=not last, cut=cut))
        if self._takes_words is not None and self._utterance is not None:
            self._takes_words.send_text(words)
            self._utterance.text += words
        self._grown.set()

    def no_more_words(self) -> None:
        """No more words come for now, so `speak` will return."""
        self._growing = False
        self._grown.set()
        if self._takes_words is not None:
            self._takes_words.end()

    async def speak(self) -> None:
        """Speak the reply; after a sound without words, continue with the rest of it."""
        if not self._aloud:
            return
        if self._paused_ms is not None and not self.spoken:
            self._tell(TurnContinued(self._turn_id, self._paused_ms))
        self._paused_ms = None
        in_a_row = 0
        while await self._more_to_say():
            try:
                async with self._one_at_a_time:
                    await self._speak()
            except ServiceError as broken:  # the client has the words as text
                said = self._failing.heard if self._failing is not None else ""
                in_a_row = 1 if said else in_a_row + 1
                if broken.retryable or in_a_row == MAX_UNSAID or (self._failing_played and not said):
                    self._aloud, self.said, self.spoken = False, self.reply, True
                else:
                    self.said = self._behind_sentence(said)
                self.unsaid += 1
                if self.unsaid == 1:
                    self._trouble(broken)
                    await self._apologise(broken)

    @property
    def _failing_played(self) -> bool:
        return self._failing is not None and self._failing.played_ms > 0

    def _behind_sentence(self, said: str) -> str:
        """The reply up to the end of the sentence at which the voice failed, after it had `said` that much of the rest."""
        begun = len(self.said) + len(said)
        start = begun + len(self.reply[begun:]) - len(self.reply[begun:].lstrip())
        end = _SENTENCE_END.search(self.reply, start)
        assert end is not None, "a text has an end"
        return self.reply[: end.end()]

    async def _more_to_say(self) -> bool:
        """Wait for words that are not spoken yet. False if none will come."""
        while not (self.spoken or self.reply[len(self.said) :].strip()):
            if not self._growing:
                self.said, self.spoken = self.reply, True
                break
            self._grown.clear()
            await self._grown.wait()
        return not self.spoken

    async def _speak(self) -> None:
        """Speak what there is of the reply, and what is added until `_rest`."""
        while not self.spoken:
            utterance = await self._play(self.reply[len(self.said) :], self._config, growing=self._growing)
            if not utterance.stopped:
                self.said += utterance.text
                break
            self.said += utterance.heard
            if await self._words_follow():
                break
            self._tell(TurnContinued(self._turn_id, utterance.played_ms))

    def _rest(self) -> None:
        """Words of a growing reply that are still to come are another utterance."""
        if self._takes_words is not None:
            self._takes_words.end()
            self._takes_words = None

    async def _words_follow(self) -> bool:
        """Wait until it is known whether the sounds since the utterance was stopped were words."""
        while True:
            pause = self._pause
            assert pause is not None, "pause() makes it before it stops the utterance"
            if await pause.words_followed:
                return True
            if pause is self._pause:  # there was no other sound since
                self._pause = None
                return False

    async def say_aside(self, words: str) -> bool:
        """Speak something besides the reply. After a sound without words, repeat it from its beginning. True: it was said to its end."""
        if not self._format.audio:
            return False
        self._rest()  # otherwise it would have to wait until the reply is complete
        try:
            return await self._say_aside(words, self._config)
        except ServiceError as broken:
            self._trouble(broken)  # the client has the sentence as text
            await self._apologise(broken)
            return False

    async def _say_aside(self, words: str, config: SynthesisConfig) -> bool:
        async with self._one_at_a_time:
            self.aside = words
            try:
                while (utterance := await self._play(words, config)).stopped and not await self._words_follow():
                    self._tell(TurnContinued(self._turn_id, utterance.played_ms))
                return not utterance.stopped
            finally:
                self.aside, self._pause = "", None

    async def _apologise(self, broken: ServiceError) -> None:
        """Say that words cannot be spoken, unless the synthesiser is gone. It is the voice or the text that failed: use neither."""
        if not broken.retryable:
            with suppress(ServiceError):  # it was told already
                await self._say_aside(apology(broken), SynthesisConfig())

    @property
    def _config(self) -> SynthesisConfig:
        return SynthesisConfig(self._format.voice, self._format.speed, self._format.language)

    def abandon(self) -> None:
        """The rest of the reply is not wanted any more."""
        self.pause()
        self.settle_pause(words_followed=True)
        self.spoken = True
        self._grown.set()

    def hush(self) -> None:
        """Stop the question that is being spoken, because it was answered."""
        if self.aside:
            self.pause()
            self.settle_pause(words_followed=True)

    async def _play(self, text: str, config: SynthesisConfig, *, growing: bool = False) -> Utterance:
        self._failing = None
        stream = self._setup.provided.services.tts.synthesize(config, self._context)
        stream.send_text(text)
        if growing:
            self._takes_words = stream
        else:
            stream.end()
        utterance = self._utterance = Utterance(
            stream,
            self._setup.outlet,
            encoding=self._format.encoding,
            sample_rate_hz=self._format.sample_rate_hz,
            clock=self._setup.listening_clock,
            sounding=self._setup.sounding,
            turn_id=self._turn_id,
            on_first_audio=lambda: None if self.aside else self._on_first_audio(),
            far_end=self._far_end,
            aside=bool(self.aside),
            text=text,
        )
        if self._begun_elsewhere is not None:
            utterance.restore(*self._begun_elsewhere)
            self._begun_elsewhere = None
        try:
            await utterance.play()
            await utterance.played_out()
        except ServiceError:
            self._failing = utterance
            if not utterance.stopped:
                raise
        finally:
            self._utterance = self._takes_words = None
        return utterance

    # --- what the lane calls, by way of the turn ---

    @property
    def paused(self) -> bool:
        """True while it waits to learn whether words follow a sound."""
        return self._pause is not None and not self._pause.words_followed.done()

    @property
    def under_way(self) -> bool:
        """True while something is playing, or paused by a sound and likely to continue."""
        pause = self._pause
        return self.speaking or (
            pause is not None and not (pause.words_followed.done() and pause.words_followed.result())
        )

    @property
    def speaking(self) -> bool:
        """True while something is playing."""
        return self._utterance is not None and not self._utterance.stopped

    def report_playback(self, played_ms: int) -> None:
        """Take the client's `playback` report."""
        if self._utterance is not None:
            self._utterance.report(played_ms)

    def pause(self) -> None:
        """A sound during the reply: stop at once; everything sent but not yet played is stale."""
        loop = asyncio.get_running_loop()
        if self._pause is not None:
            settled = self._pause.words_followed
            if settled.done() and not settled.result():  # another sound, before the reply could continue
                self._pause = replace(self._pause, words_followed=loop.create_future())
            return
        utterance = self._utterance
        if utterance is None:
            return
        utterance.stop()
        heard = ("" if self.aside else self.said) + utterance.heard
        self._setup.outlet.interrupt()
        self._pause = Pause(utterance.played_ms, heard, loop.create_future())
        self._tell(TurnPaused(self._turn_id, utterance.played_ms))

    def settle_pause(self, *, words_followed: bool) -> None:
        """Tell whether words followed the sound. The first call counts; does nothing if the reply is not paused."""
        pause = self._pause
        if pause is None or pause.words_followed.done():
            return
        pause.words_followed.set_result(words_followed)
        if words_followed:
            if not self.aside:  # otherwise the reply is still to come
                self.spoken = True
                self._on_interrupted()
            self._tell(TurnInterrupted(self._turn_id, pause.heard_ms, pause.heard_text))

    def forget(self) -> None:
        """Nothing more is said: drop the callbacks, whose owner refers to this object."""
        self._failing = None
        del self._tell, self._trouble, self._on_first_audio, self._on_interrupted
