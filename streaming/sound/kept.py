"""A microphone's audio that is not recognised yet, and the stream that it goes to. Hot path: see `send_audio`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from streaming.sound.codecs import SERVICE_RATE_HZ
from streaming.sound.pcm import BYTES_PER_SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.ports import RecognitionStream

BYTES_PER_MS = SERVICE_RATE_HZ * BYTES_PER_SAMPLE // 1000
# A second of audio received between two checks of what is still needed.
TRIM_BYTES = 1000 * BYTES_PER_MS
MAX_KEPT_BYTES = 3 * 1024 * 1024  # 98 s, three times the longest utterance; a stream may have 4 MiB queued


class OpenStream(Protocol):
    """Opens a stream; `on_taken(bytes)` is called when audio leaves for the recogniser."""

    def __call__(self, on_taken: Callable[[int], None]) -> RecognitionStream:
        """Open a stream at once."""


def _nobody(_told: object) -> None:
    """Replaces the callback of a microphone that has ended."""


class KeptAudio:
    """Looks like one `RecognitionStream` to who sends, but may use several in turn. All positions are bytes of PCM.

    `needed_ms` returns the time from which the audio may be needed again. `commits_only`: utterances end only at commits, so each
    final answers one commit.
    """

    def __init__(
        self,
        open_stream: OpenStream,
        on_taken: Callable[[int], None],
        needed_ms: Callable[[], float],
        *,
        commits_only: bool,
    ) -> None:
        self._open_stream = open_stream
        self._on_taken = on_taken
        self._needed_ms = needed_ms
        self._commits_only = commits_only
        self._kept: deque[bytes | None] = deque()  # None: a commit
        self._kept_from = self._received = self._taken = 0
        self._begins_at = self._leaving = 0
        self._look_at = TRIM_BYTES
        self._ended = False
        self.cancelled = False
        self.stream = self._fresh()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def begins_ms(self) -> int:
        """Where the stream's audio begins."""
        return self._begins_at // BYTES_PER_MS

    @property
    def received_ms(self) -> float:
        """Duration of all audio so far."""
        return self._received / BYTES_PER_MS

    # --- what goes in ---

    def send_audio(self, pcm: bytes) -> None:
        """Queue whole samples."""
        self._kept.append(pcm)
        received = self._received = self._received + len(pcm)
        if received >= self._look_at:
            self.trim()
        self.stream.send_audio(pcm)

    def commit(self) -> None:
        """End the utterance."""
        self._kept.append(None)
        self.stream.commit()

    def end(self) -> None:
        """End the audio."""
        self._ended = True
        self.stream.end()

    def cancel(self) -> None:
        """Stop now."""
        self.cancelled = True
        self.stream.cancel()

    def let_go(self) -> None:
        """Drop the callbacks, whose owners refer to this object: cycles would wait for the collector."""
        self._on_taken = _nobody
        self._needed_ms = float

    # --- streams ---

    def _fresh(self) -> RecognitionStream:
        self._begins_at = self._leaving = self._kept_from
        stream: RecognitionStream | None = None

        def taken(n_bytes: int) -> None:
            """Report credit for audio that was sent, except for audio that is sent a second time."""
            if stream is not None and stream is not self.stream:
                return
            self._leaving += n_bytes
            more = self._leaving - self._taken
            if more > 0:
                self._taken = self._leaving
                self._on_taken(more)

        stream = self._open_stream(taken)
        return stream

    def open_again(self) -> None:
        """Use a new stream from now on. It gets nothing before `send_again`."""
        self.stream = self._fresh()

    def send_again(self) -> None:
        """Send what is kept to the new stream."""
        for item in self._kept:
            if item is None:
                self.stream.commit()
            else:
                self.stream.send_audio(item)
        if self._ended:
            self.stream.end()

    # --- what is kept ---

    def answered(self) -> None:
        """A final was told. With `commits_only` it answers the first commit."""
        if not self._commits_only or None not in self._kept:
            return
        while (item := self._kept.popleft()) is not None:
            self._kept_from += len(item)

    def trim(self) -> None:
        """Forget what is not needed any more."""
        self._look_at = self._received + TRIM_BYTES
        needed = max(int(self._needed_ms()) * BYTES_PER_MS, self._received - MAX_KEPT_BYTES)
        kept = self._kept
        while kept:
            size = len(kept[0] or b"")
            if self._kept_from + size > needed:
                return
            kept.popleft()
            self._kept_from += size
