"""Decodes an uploaded audio file to the PCM of speech-to-text: 16-bit little-endian mono at 16 kHz.

A small file that unpacks to hours of silence is cut off.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from server.audio.errors import AudioTooLongError, UnreadableAudioError
from server.audio.formats import BYTES_PER_SAMPLE
from server.audio.sections import sections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer

    from server.audio.sections import Section

PCM_RATE_HZ = 16_000  # the rate that recognisers are trained on
PIECE_BYTES = PCM_RATE_HZ * BYTES_PER_SAMPLE // 2  # half a second: few thread switches, little in flight
MAX_AUDIO_S = 600  # ten minutes; longer recordings belong on a socket's stt channel


@dataclass(slots=True)
class UploadDecoder:
    """Decodes one file, once. Every method blocks: call it in a codec thread.

    A caller that is cancelled leaves `next_piece` running in its thread. `close` waits for it: FFmpeg crashes if a container is
    closed while it is read.
    """

    file: IO[bytes]
    max_audio_s: float = MAX_AUDIO_S
    decoded_bytes: int = 0
    read_percent: int = field(default=0, init=False)  # of the file
    _pieces: Iterator[bytes] | None = None
    _container: InputContainer | None = None
    _in_use: threading.Lock = field(default_factory=threading.Lock, init=False)
    _closed: bool = field(default=False, init=False)

    @property
    def duration_ms(self) -> int:
        """Duration decoded so far."""
        return self.decoded_bytes * 1000 // (PCM_RATE_HZ * BYTES_PER_SAMPLE)

    def next_piece(self) -> bytes | None:
        """About half a second of PCM, None at the end and after `close`. Raises UnreadableAudioError, AudioTooLongError."""
        with self._in_use:
            if self._closed:
                return None
            if self._pieces is None:
                self._pieces = self._decode()
            piece = next(self._pieces, None)
        self.decoded_bytes += len(piece or b"")
        if self.duration_ms > self.max_audio_s * 1000:
            raise AudioTooLongError(f"the audio is longer than {self.max_audio_s:g} seconds")
        return piece

    def close(self) -> None:
        """Close the demuxer, once it is not in use. The file itself belongs to the caller."""
        with self._in_use:
            self._closed = True
            self._pieces = None
            if self._container is not None:
                self._container.close()
                self._container = None

    def _decode(self) -> Iterator[bytes]:
        parts = sections(self.file)
        if not parts:
            raise UnreadableAudioError("the file is empty")
        waiting = bytearray()
        broken: UnreadableAudioError | None = None
        heard = False
        for part in parts:
            try:
                for pcm in self._pcm(part):
                    heard = True
                    self.read_percent = self.file.tell() * 100 // parts[-1].end
                    waiting += pcm
                    while len(waiting) >= PIECE_BYTES:
                        yield bytes(waiting[:PIECE_BYTES])
                        del waiting[:PIECE_BYTES]
            except UnreadableAudioError as error:
                broken = broken or error
        if not heard:
            raise broken or UnreadableAudioError("the file is empty: it holds no sound")
        if waiting:
            yield bytes(waiting)

    def _pcm(self, part: Section) -> Iterator[bytes]:
        """The PCM of one section. Raises UnreadableAudioError."""
        # loading FFmpeg takes 0.1 s and 16 MB: only for a file, in its thread
        from server.audio import demux  # noqa: PLC0415

        container = self._container = demux.opened(part)
        try:
            yield from demux.pcm(part, container, PCM_RATE_HZ)
        finally:
            container.close()
