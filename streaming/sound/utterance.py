"""An utterance to the client: synthesised, encoded, paced by what the client has played, and cut off when interrupted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from streaming.domain import SpeechBegins, SpeechEnds, SpokenWords
from streaming.ports import ServiceError, SynthesisAudio, SynthesisDone, SynthesisStarted, SynthesisWords, Word
from streaming.sound.codecs import FRAME_MS, SpeechEncoder
from streaming.sound.playout import REFILL_MS, STALLED_PLAYOUT_MS, PlayoutCursor, heard_text
from streaming.sounding import Sounding

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.outlet import Outlet
    from streaming.ports import SynthesisStream
    from streaming.sound.echo import FarEnd

FULL_LOOK_S = 0.2  # minimum wait while the client has seconds of speech: its reports wake earlier
LOOK_AGAIN_S = 0.01  # minimum wait: the clock may stand still, and the remaining time may be next to nothing
UNCONFIRMED_S = 30.0  # how long to wait for a client that listens but neither acknowledges nor answers a ping
# Words after the last one heard to its middle that may have sounded too: one just begun, and those played while the report was under way.
STARTED_WORDS = 4
WRONG_MS = 1_000  # between what a client reports and the clock: it buffers less, and stalls seldom


class Utterance:
    """One text being spoken. `play` returns when everything was sent; `stop` cuts it off at any time.

    `text`: what `stream` was given to speak so far.
    """

    def __init__(
        self,
        stream: SynthesisStream,
        outlet: Outlet,
        *,
        encoding: str,
        sample_rate_hz: int | None,
        clock: Callable[[], float],
        turn_id: str | None = None,
        on_first_audio: Callable[[], None] = lambda: None,
        far_end: FarEnd | None = None,
        sounding: Sounding | None = None,
        aside: bool = False,
        text: str = "",
    ) -> None:
        self.text = text
        self._stream = stream
        self._outlet = outlet
        self._encoding = encoding
        self._sample_rate_hz = sample_rate_hz
        self._clock = clock
        self._turn_id = turn_id
        self._aside = aside
        self._encoder: SpeechEncoder | None = None
        self._pts_ms = 0.0
        self._words: list[Word] = []
        self._cursor = PlayoutCursor()
        self._nudge = asyncio.Event()  # set when a report may release the next frame
        self._holds_back = False  # the client has the whole lead: reports matter once it has played REFILL_MS of it
        self._on_first_audio = on_first_audio
        self._far_end = far_end
        self._sounding = sounding or Sounding()
        self._stopped_at: float | None = None
        self._played_out = False
        self._begun = self._ended = False  # whether the client was told
        self._sounds = False  # whether `_sounding` was
        self._words_told = 0
        self._had_pts_ms = -1  # the client has the frames up to this position from another replica
        self._failed: Exception | None = None  # in `_take`, which must not raise

    # --- on another replica ---

    def save(self) -> dict[str, Any]:
        """Its progress as JSON."""
        return {
            "begun": self._begun,
            "ended": self._ended,
            "words": self._words_told,
            "played_ms": round(self._cursor.known_ms(self._now)),
            "reported": self._cursor.reported,
        }

    def restore(self, saved: dict[str, Any], sent_pts_ms: int) -> None:
        """Continue an utterance begun on another replica. The client has its frames up to `sent_pts_ms` (-1: none). Call before `play`.

        It is synthesised again from its beginning, because the same text in the same voice sounds the same. What the client has is skipped.
        """
        self._begun, self._ended, self._words_told = saved["begun"], saved["ended"], saved["words"]
        if self._begun:
            self._had_pts_ms = sent_pts_ms
            self._cursor.went_on(saved["played_ms"], self._clock(), reported=saved["reported"])

    @property
    def stopped(self) -> bool:
        """True if it was cut off."""
        return self._stopped_at is not None

    @property
    def _now(self) -> float:
        """The time; of a stopped utterance, when it was stopped."""
        return self._clock() if self._stopped_at is None else self._stopped_at

    @property
    def played_ms(self) -> int:
        """How much the client has played; for a stopped utterance, how much it had played then."""
        return round(self._cursor.played_ms(self._now))

    @property
    def playing(self) -> bool:
        """True while the client has some of what was sent still to play."""
        return self._cursor.remaining_s(self._now) > 0.0

    @property
    def heard(self) -> str:
        """The part of the text that the client has played."""
        return heard_text(self.text, self._words, self.played_ms)

    @property
    def so_far(self) -> str:
        """The text, up to the last word that may have sounded."""
        return self.text if self._played_out else self._until(self.played_ms)

    @property
    def by_clock(self) -> str:
        """The same for a client whose reports are wrong, or have stopped; "" if the clock agrees with them."""
        by_clock_ms = self._cursor.by_clock_ms(self._now)
        wrong = abs(by_clock_ms - self.played_ms) > WRONG_MS
        return self._until(by_clock_ms) if wrong and not self._played_out else ""

    def _until(self, played_ms: float) -> str:
        heard = heard_text(self.text, self._words, played_ms)
        return " ".join([heard, *self.text[len(heard) :].split(maxsplit=STARTED_WORDS)[:STARTED_WORDS]])

    def report(self, played_ms: int) -> None:
        """Take the client's `playback` report."""
        now = self._clock()
        self._cursor.report(played_ms, now)
        if self._far_end is not None and self._sounds:
            self._far_end.report(self._cursor.known_ms(now))
        if not (self._holds_back and self._cursor.wait_s(now, REFILL_MS)):
            self._nudge.set()

    def stop(self) -> None:
        """Cut it off: nothing more is sent, and the service stops."""
        self._stopped_at = self._clock()
        self._fall_silent()
        self._stream.cancel()
        self._nudge.set()

    async def play(self) -> None:
        """Send the audio as it is made, no further ahead than the playout lead. Raises ServiceError, once what was made is played."""
        self._stream.hand_audio_to(self._take)
        try:
            async for event in self._stream:
                if self.stopped:
                    return
                self._raise_failure()
                if isinstance(event, SynthesisAudio):
                    await self._send_pcm(event.pcm)
                elif isinstance(event, SynthesisStarted):
                    self._begin(event)
                elif isinstance(event, SynthesisWords):
                    self._tell_words(event.words)
                elif isinstance(event, SynthesisDone):
                    await self._finish()
        except ServiceError:
            await self.played_out()  # until then it can be heard, and may come back
            raise
        except BaseException:
            self._fall_silent()
            raise
        finally:
            self._failed = None  # its traceback refers to this utterance
            self._stream.cancel()

    def _take(self, pcm: bytes) -> bool:
        """Send audio at once, unless something has to wait: the hot path. False: `play` gets it, and waits."""
        encoder, cursor, pts_ms = self._encoder, self._cursor, self._pts_ms
        if encoder is None or self._stopped_at is not None or pts_ms <= self._had_pts_ms:
            return False
        try:
            plain = self._sounds and encoder.passes(pcm) and cursor.sent_ms + FRAME_MS <= cursor.safe_ms
            if not (plain and self._outlet.play_at_once(pcm, round(pts_ms))):
                return self._send_at_once(encoder, pcm)
            self._pts_ms = pts_ms + FRAME_MS
            cursor.sent_ms += FRAME_MS
            if self._far_end is not None:
                self._far_end.add(pcm)
        except Exception as failed:  # noqa: BLE001 - the caller serves other sessions too: `play` raises it
            self._failed = failed
            return False
        return True

    def _raise_failure(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _send_at_once(self, encoder: SpeechEncoder, pcm: bytes) -> bool:
        n_bytes, now = len(pcm), self._clock()
        if not self._outlet.has_room(encoder.most_bytes(n_bytes)):
            return False
        if not self._cursor.has_room(n_bytes / encoder.pcm_bytes_per_ms, now):
            return False
        if self._far_end is not None:
            self._far_end.add(pcm)
        for frame in encoder.encode(pcm):
            self._play(frame, encoder.duration_ms(frame), now)
        return True

    def _begin(self, event: SynthesisStarted) -> None:
        self._encoder = SpeechEncoder(
            self._encoding, self._sample_rate_hz or event.sample_rate_hz, event.sample_rate_hz
        )
        if self._far_end is not None:
            self._far_end.begin(event.sample_rate_hz)
            if self._cursor.reported:
                self._far_end.report(self._cursor.known_ms(self._now))
        if not self._begun:
            self._begun = True
            self._outlet.tell(SpeechBegins(self._encoder.encoding, self._encoder.rate_hz, self._turn_id, self._aside))

    def _tell_words(self, words: tuple[Word, ...]) -> None:
        fresh = words[max(0, self._words_told - len(self._words)) :]
        self._words.extend(words)
        if fresh:
            self._words_told = len(self._words)
            self._outlet.tell(SpokenWords(fresh, self._turn_id))

    async def _send_pcm(self, pcm: bytes) -> None:
        assert self._encoder is not None, "a service sends Started first"
        if self._pts_ms > self._had_pts_ms:
            if self._take(pcm):
                return
            self._raise_failure()
            await self._hold_back(min(REFILL_MS, len(pcm) / self._encoder.pcm_bytes_per_ms))
            if self._take(pcm):
                return
            self._raise_failure()
        if self._far_end is not None:
            self._far_end.add(pcm)
        for frame in self._encoder.encode(pcm):
            await self._send(frame)

    async def _finish(self) -> None:
        """Send the rest, then an empty frame marked as the last, so that no frame has to wait to learn whether it is the last."""
        assert self._encoder is not None, "a service sends Started first"
        for frame in self._encoder.flush():
            await self._send(frame)
        if not self.stopped:
            if round(self._pts_ms) > self._had_pts_ms:
                self._outlet.play(b"", round(self._pts_ms), last=True)
            if not self._ended:
                self._ended = True
                self._outlet.tell(SpeechEnds(round(self._pts_ms), self._turn_id))

    async def _send(self, frame: bytes) -> None:
        assert self._encoder is not None, "frames come from it"
        duration_ms = self._encoder.duration_ms(frame)
        if round(self._pts_ms) <= self._had_pts_ms:
            self._advance(duration_ms, self._clock())
            return
        await self._outlet.room(len(frame))
        await self._hold_back()
        if self.stopped:
            return
        self._play(frame, duration_ms, self._clock())

    def _play(self, frame: bytes, duration_ms: float, now: float) -> None:
        if self._pts_ms == 0:
            self._on_first_audio()
        self._sounding.begins(self)
        self._sounds = True
        self._outlet.play(frame, round(self._pts_ms))
        self._advance(duration_ms, now)

    def _advance(self, duration_ms: float, now: float) -> None:
        self._pts_ms += duration_ms
        self._cursor.sent(duration_ms, now)

    async def _hold_back(self, duration_ms: float = 0.0) -> None:
        """Wait while the client is too far behind for so much audio, and then until there is room for several frames."""
        if not self._cursor.wait_s(self._clock(), duration_ms):
            return
        self._holds_back = True
        while not self.stopped and (wait_s := self._cursor.wait_s(self._clock(), REFILL_MS)) > 0:
            await self._wait_for_report(max(wait_s, FULL_LOOK_S))
        self._holds_back = False

    async def _wait_for_report(self, at_most_s: float) -> None:
        self._nudge.clear()
        try:
            async with asyncio.timeout(at_most_s):
                await self._nudge.wait()
        except TimeoutError:
            pass

    async def played_out(self) -> None:
        """Wait until the client has received everything and has played it, was stopped, or has clearly stopped reporting."""
        receipt = self._outlet.receipt()
        if receipt is not None:
            receipt.add_done_callback(lambda _: self._nudge.set())
        give_up_at = self._clock() + self._cursor.remaining_s(self._clock()) + STALLED_PLAYOUT_MS / 1000
        try:
            while not self.stopped and (left_s := self._cursor.remaining_s(self._clock())) > 0.0:
                if self._clock() >= give_up_at:
                    break
                await self._wait_for_report(max(left_s, LOOK_AGAIN_S))
            self._played_out = not self.stopped
            if receipt is not None:
                await self._arrived(receipt)
        finally:
            self._fall_silent()

    async def _arrived(self, receipt: asyncio.Future[None]) -> None:
        """Wait for the receipt. Playing is only an estimate: a network that is dead but not closed yet has delivered nothing."""
        give_up_at = self._clock() + UNCONFIRMED_S
        while not self.stopped and not receipt.done() and self._clock() < give_up_at:
            await self._wait_for_report(1.0)

    def _fall_silent(self) -> None:
        self._sounds = False
        self._sounding.ends(self, self._clock())
        if self._far_end is not None:
            self._far_end.end()
