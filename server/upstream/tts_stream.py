"""One utterance's stream from the synthesiser. Hot path: audio goes straight to the utterance."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from protos import tts_pb2
from server.upstream.speech_trunk import SpeechStream
from server.upstream.status import failure
from server.upstream.tts_events import event_of, events_of
from streaming.ports import ServiceError, SynthesisAudio, SynthesisDone, SynthesisStarted, SynthesisWords

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from server.upstream.stream import BidiStream
    from streaming.ports import SynthesisEvent

    SpokenStream = BidiStream[tts_pb2.SynthesizeRequest, tts_pb2.SynthesizeResponse] | SpeechStream

# Another stream may do better a little later.
BROKEN = frozenset({"UNAVAILABLE", "CIRCUIT_OPEN", "ABORTED"})


# Audio that waits, because the client has enough for now, is read up to this at a time: 170 to 260 ms, less than is released at once.
TOGETHER_BYTES = 8_192


class TextSource:
    """Queued pieces of text, in order. Queued pieces are sent together."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()

    def text(self, piece: str) -> None:
        """Queue a piece."""
        self._pieces.append(piece)

    @property
    def waits(self) -> bool:
        """True if there is something to take."""
        return bool(self._pieces)

    def take(self) -> tts_pb2.SynthesizeRequest | None:
        """All waiting text."""
        if not self._pieces:
            return None
        text = "".join(self._pieces)
        self._pieces.clear()
        return tts_pb2.SynthesizeRequest(text=text)

    def sent(self) -> None:
        """Nothing to do: text has no credit."""

    def linger_s(self) -> float:
        """Text is sent at once."""
        return 0.0


class TtsStream:
    """Implements `streaming.ports.SynthesisStream`.

    If its trunk breaks, a new stream gets the whole text again. The same text in the same voice sounds the same, so what was
    read already is skipped, and the reader notices no gap. `open_stream` opens a stream.
    """

    def __init__(self, open_stream: Callable[[TextSource], SpokenStream]) -> None:
        self._open_stream = open_stream
        self._source = TextSource()
        self._stream = open_stream(self._source)
        self._text: list[str] = []  # everything sent so far
        self._ended = self._started = self._done = self._cancelled = False
        self._repeats = False  # True after the trunk broke, while the service may still be restarting
        self._read_bytes = self._read_words = 0  # read by the owner, over all streams
        self._skip_bytes = self._skip_words = 0  # to skip in the current stream, because an earlier one delivered them
        self._ear: Callable[[bytes], bool] | None = None

    def send_text(self, text: str) -> None:
        """Queue text; ignored once the stream has ended. Text that is not valid Unicode ends the stream with INVALID_ARGUMENT."""
        if not text or self._ended or not (self._stream.live or self._repeats or self._lost_trunk):
            return
        try:
            text.encode()
        except UnicodeEncodeError:
            self._stream.fail(failure("tts", "INVALID_ARGUMENT", "text must be valid Unicode"))
            return
        self._text.append(text)
        self._source.text(text)
        self._stream.wake()

    def end(self) -> None:
        """End the text."""
        self._ended = True
        self._stream.end()

    def cancel(self) -> None:
        """Stop now; the iterator ends without an error."""
        self._cancelled = True
        self._ear = None
        self._stream.cancel()

    def hand_audio_to(self, ear: Callable[[bytes], bool]) -> None:
        """Offer audio to `ear` while the reader waits; only a stream in a trunk does so."""
        self._ear = ear
        if isinstance(self._stream, SpeechStream) and not self._cancelled and not self._skip_bytes:
            self._stream.ear = ear

    def __aiter__(self) -> AsyncIterator[SynthesisEvent]:
        """Events in order, none fetched before it is asked for. Raises ServiceError."""
        return events_of(self)

    # --- server.upstream.tts_events.RepeatedStream ---

    def may_repeat(self, broken: ServiceError) -> bool:
        """True if the trunk broke and every error since then only says that the service is not back yet."""
        self._repeats = self._lost_trunk or (self._repeats and broken.code in BROKEN)
        return self._repeats

    @property
    def _lost_trunk(self) -> bool:
        return isinstance(self._stream, SpeechStream) and self._stream.lost_trunk

    def begin_again(self) -> None:
        """Ask for the whole text again, over a new stream."""
        if self._cancelled:
            return  # cancelled: keep the old stream, which ends without an error
        if isinstance(self._stream, SpeechStream):
            self._read_bytes += self._stream.handed_bytes
        self._source = TextSource()
        self._stream = self._open_stream(self._source)
        self._skip_bytes, self._skip_words = self._read_bytes, self._read_words
        if self._text:
            self._source.text("".join(self._text))
            self._stream.wake()
        if self._ended:
            self._stream.end()
        if self._ear is not None:
            self.hand_audio_to(self._ear)

    async def next_event(self) -> SynthesisEvent | None:
        """The next response, without what an earlier stream delivered; None at the end.

        Raises ServiceError, also if the service ends an utterance that it has begun without saying that it is done.
        """
        while (response := await self._stream.read()) is not None:
            event = event_of(response)
            if type(event) is SynthesisAudio:
                if isinstance(self._stream, SpeechStream):
                    event = SynthesisAudio(event.pcm + self._stream.read_along(TOGETHER_BYTES - len(event.pcm)))
                event = self._fresh_audio(event)
            elif type(event) is SynthesisWords:
                event = self._fresh_words(event)
            elif type(event) is SynthesisStarted:
                event, self._started = None if self._started else event, True
            elif type(event) is SynthesisDone:
                self._done = True
            if event is not None:
                return event
        if self._started and not (self._done or self._cancelled):
            raise failure("tts", "UNAVAILABLE", "speech synthesis ended before the utterance did")
        return None

    def _fresh_audio(self, event: SynthesisAudio) -> SynthesisAudio | None:
        if self._skip_bytes:
            n_bytes = len(event.pcm)
            event = SynthesisAudio(event.pcm[self._skip_bytes :])
            self._skip_bytes = max(0, self._skip_bytes - n_bytes)
            if self._ear is not None:
                self.hand_audio_to(self._ear)
        self._read_bytes += len(event.pcm)
        return event if event.pcm else None

    def _fresh_words(self, event: SynthesisWords) -> SynthesisWords | None:
        fresh = event.words[self._skip_words :]
        self._skip_words = max(0, self._skip_words - len(event.words))
        self._read_words += len(fresh)
        return SynthesisWords(fresh) if fresh else None
