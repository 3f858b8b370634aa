"""Decodes an audio file, in this process, to the PCM of speech-to-text: 16-bit little-endian mono at 16 kHz.

A small file that unpacks to hours of silence is cut off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from server.audio.errors import AudioTooLongError, UnreadableAudioError
from server.audio.formats import BYTES_PER_SAMPLE
from server.audio.sections import sections

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from server.audio.sections import Section

PCM_RATE_HZ = 16_000  # the rate that recognisers are trained on
PIECE_BYTES = PCM_RATE_HZ * BYTES_PER_SAMPLE // 2  # half a second: few thread switches, little in flight
MAX_AUDIO_S = 600  # ten minutes; longer recordings belong on a socket's stt channel


@dataclass(slots=True)
class FileDecoder:
    """Decodes one file, once. Its methods block. Files of strangers belong into a process of their own: see `upload`."""

    file: IO[bytes]
    max_audio_s: float = MAX_AUDIO_S
    decoded_bytes: int = field(default=0, init=False)
    read_percent: int = field(default=0, init=False)  # of the file
    _pieces: Generator[bytes, None, None] | None = field(default=None, init=False)

    @property
    def duration_ms(self) -> int:
        """Duration decoded so far."""
        return milliseconds(self.decoded_bytes)

    def next_piece(self) -> bytes | None:
        """About half a second of PCM, None at the end and after `close`. Raises UnreadableAudioError, AudioTooLongError."""
        if self._pieces is None:
            self._pieces = self._decode()
        piece = next(self._pieces, None)
        self.decoded_bytes += len(piece or b"")
        if self.duration_ms > self.max_audio_s * 1000:
            raise AudioTooLongError(f"the audio is longer than {self.max_audio_s:g} seconds")
        return piece

    def close(self) -> None:
        """Close the demuxer. The file itself belongs to the caller."""
        if self._pieces is None:
            self._pieces = self._decode()
        self._pieces.close()

    def _decode(self) -> Generator[bytes, None, None]:
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
        # loading FFmpeg takes 0.1 s and 16 MB: only for a file
        from server.audio import demux  # noqa: PLC0415

        container = demux.opened(part)
        try:
            yield from demux.pcm(part, container, PCM_RATE_HZ)
        finally:
            container.close()


def milliseconds(n_bytes: int) -> int:
    """How long this much PCM sounds."""
    return n_bytes * 1000 // (PCM_RATE_HZ * BYTES_PER_SAMPLE)
