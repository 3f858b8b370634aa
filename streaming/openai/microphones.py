"""The input audio buffer: a series of microphone lanes, as the session's settings change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.lanes.stt import SttLane
from streaming.openai import settings as config
from streaming.openai.hearing import Hearing
from streaming.openai.mistakes import MistakeError, error_event, wrong
from streaming.sound.codecs import pcm_duration_ms
from streaming.sound.pcm import BYTES_PER_SAMPLE, AudioFormatError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from streaming.lanes.base import Lane
    from streaming.openai.host import Host
    from streaming.session import LaneEnd
    from streaming.sound.microphone_format import MicrophoneFormat

PIECE_MS = 100  # of a long append that is decoded
MICROPHONE = 1_000_000  # channel numbers of microphones start here, those of turns at 1


class Microphones:
    """At most one lane takes audio; earlier ones finish what was committed to them."""

    def __init__(self, host: Host, hold: Callable[[Callable[[], Awaitable[None]]], None]) -> None:
        """`hold` lets no later event be read before its argument has been waited for."""
        self._host = host
        self._hold = hold
        self._hearing: Hearing | None = None
        self._channel = MICROPHONE
        self._past_ms = 0.0
        self._ear: Callable[[bytes, int], None] | None = None  # of the open lane
        self._per_sample = BYTES_PER_SAMPLE  # bytes, in the open lane's encoding
        self._bytes_per_ms = 0.0
        self._refused: MicrophoneFormat | None = None  # by the recogniser, which would refuse it again
        self._outage_told = False
        self.open = 0

    @property
    def fed_ms(self) -> float:
        """Milliseconds of audio written to the buffer since the session began."""
        return self._past_ms + (self._hearing.fed_ms if self._hearing is not None else 0.0)

    @property
    def hearing(self) -> bool:
        """True while an utterance is heard whose words are not known yet."""
        return self._hearing is not None and (self._hearing.in_speech or self._hearing.pending)

    def append(self, audio: bytes) -> None:
        """Append audio in the session's input format. Raises MistakeError."""
        n_bytes, ear, hearing = len(audio), self._ear, self._hearing
        if ear is None or hearing is None or n_bytes > PIECE_MS * self._bytes_per_ms or n_bytes % self._per_sample:
            for _ in self.appending(audio):
                pass
        else:  # the hot path
            if hearing.fed(n_bytes, n_bytes / self._bytes_per_ms):
                self._hold(self.ready)
            ear(audio, 0)

    def appending(self, audio: bytes | bytearray) -> Generator[None, None, None]:
        """The same piece by piece, because a long append need not be fed at once. Raises MistakeError."""
        if self._refused is not None and self._refused == config.microphone_of(self._host.settings):
            return  # the client was told
        encoding, rate_hz = config.sound_of(self._host.settings["audio"]["input"]["format"])
        per_sample = BYTES_PER_SAMPLE if encoding == "pcm_s16le" else 1
        if len(audio) % per_sample:
            raise wrong("audio", "Invalid 'audio': pcm16 has whole samples of two bytes.")
        piece_bytes = rate_hz * PIECE_MS // 1000 * per_sample
        for start in range(0, len(audio), piece_bytes):
            hearing, lane = self._listening()
            piece = bytes(audio[start : start + piece_bytes])
            if hearing.fed(len(piece), pcm_duration_ms(len(piece) * BYTES_PER_SAMPLE // per_sample, rate_hz)):
                self._hold(self.ready)
            lane.audio(piece)
            yield

    async def ready(self) -> None:
        """Wait until the recogniser has taken most of the audio."""
        if self._hearing is not None:
            await self._hearing.ready()

    def _listening(self) -> tuple[Hearing, Lane]:
        """The open microphone; a new one if there is none."""
        lane = self._host.lanes.lane(self._channel)
        if self._hearing is not None and lane is not None:
            return self._hearing, lane
        self._channel += 1
        source = config.microphone_of(self._host.settings)
        hearing = self._hearing = Hearing(
            self._host,
            self._past_ms,
            detects=source.endpointing,
            transcribes=self._host.settings["audio"]["input"].get("transcription") is not None,
        )

        def ended(end: LaneEnd) -> None:
            self.open -= 1
            heard = hearing is self._hearing
            if heard:
                self._past_ms += hearing.fed_ms
                self._hearing = self._ear = None
            hearing.broke(end.code or "closed", end.message or "the recogniser was stopped")
            if heard and end.status == "error":
                self._tell_outage(end, hearing, source)
            self._host.wake()

        try:
            self._host.lanes.open(self._channel, lambda setup: SttLane(setup, source, converses=True), hearing, ended)
        except AudioFormatError as refused:
            raise MistakeError("invalid_value", str(refused), "audio") from None
        self.open += 1
        opened = self._host.lanes.lane(self._channel)
        assert opened is not None, "it was opened just now"
        self._ear = opened.ear
        self._per_sample = BYTES_PER_SAMPLE if source.encoding == "pcm_s16le" else 1
        self._bytes_per_ms = source.sample_rate_hz * self._per_sample / 1000
        return hearing, opened

    def _tell_outage(self, end: LaneEnd, hearing: Hearing, source: MicrophoneFormat) -> None:
        """Nothing is heard any more. Told once until the recogniser takes audio again; what it refuses is not tried again."""
        code, message = end.code or "internal", end.message or "the recogniser failed"
        if code == "INVALID_ARGUMENT":
            self._refused = source
            self._host.event_queue.say(error_event(wrong("session.audio.input.transcription", message)))
            return
        if hearing.was_taken:
            self._outage_told = False
        if not self._outage_told:
            self._outage_told = True
            self._host.event_queue.say(error_event(MistakeError(code.lower(), message, kind="server_error")))

    def commit(self) -> None:
        """End the utterance. Raises MistakeError."""
        lane = self._host.lanes.lane(self._channel)
        if self._hearing is None or lane is None:
            raise MistakeError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer "
                "only has 0.00ms of audio.",
            )
        self._hearing.check_commit()
        self._hearing.commit()
        lane.commit()

    def clear(self) -> None:
        """Drop what was not committed."""
        self.retire()
        self._host.event_queue.say({"type": "input_audio_buffer.cleared"})

    def retire(self) -> None:
        """Finish what was committed and hear nothing else; further audio goes to a new microphone."""
        hearing, lane = self._hearing, self._host.lanes.lane(self._channel)
        self._hearing = self._ear = None
        if hearing is None or lane is None:
            return
        self._past_ms += hearing.fed_ms
        hearing.closed = True
        if hearing.pending:
            lane.end()
        else:
            self._host.lanes.cancel(self._channel)
