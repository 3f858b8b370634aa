"""An uploaded audio file to the PCM that speech-to-text wants: 16-bit little-endian mono at 16 kHz.

The file is hostile until FFmpeg has read it: only the demuxers and decoders named here may look at it (a playlist or a
concat script opens other files), and a small file that unpacks to hours of silence is cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import av
from av.audio.resampler import AudioResampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame
    from av.container import InputContainer

PCM_RATE_HZ = 16_000  # what recognisers are trained on
BYTES_PER_SAMPLE = 2
PIECE_BYTES = PCM_RATE_HZ * BYTES_PER_SAMPLE // 2  # half a second: few thread changes, little in flight
MAX_AUDIO_S = 600  # ten minutes; what is longer belongs on a socket's stt channel

# FFmpeg's own names; `mov` is what Safari's MediaRecorder writes.
_DEMUXERS = "wav,mp3,ogg,matroska,webm,flac,mov,aac"
_DECODERS = (
    "pcm_s16le,pcm_s24le,pcm_s32le,pcm_u8,pcm_f32le,pcm_f64le,pcm_mulaw,pcm_alaw,adpcm_ms,adpcm_ima_wav,"
    "mp3,mp3float,opus,libopus,vorbis,flac,aac,alac"
)
_OPTIONS = {
    "format_whitelist": _DEMUXERS,
    "codec_whitelist": _DECODERS,
    "probesize": "1000000",  # bytes looked at to guess the format: FFmpeg's default of 5 MB is for video
    "analyzeduration": "2000000",  # µs of audio looked at
}


class UnreadableAudioError(ValueError):
    """Not an audio file we read; the text says what was expected."""


class AudioTooLongError(ValueError):
    """The file unpacks to more than MAX_AUDIO_S seconds."""


@dataclass(slots=True)
class UploadDecoder:
    """One file, read once. Every method blocks: call it in a codec thread."""

    file: IO[bytes]
    max_audio_s: float = MAX_AUDIO_S
    decoded_bytes: int = 0
    _pieces: Iterator[bytes] | None = None
    _container: InputContainer | None = None

    @property
    def duration_ms(self) -> int:
        """Of what has been decoded so far."""
        return self.decoded_bytes * 1000 // (PCM_RATE_HZ * BYTES_PER_SAMPLE)

    def next_piece(self) -> bytes | None:
        """About half a second of PCM, None at the end. Raises UnreadableAudioError, AudioTooLongError."""
        if self._pieces is None:
            self._pieces = self._decode()
        piece = next(self._pieces, None)
        self.decoded_bytes += len(piece or b"")
        if self.duration_ms > self.max_audio_s * 1000:
            raise AudioTooLongError(f"the audio is longer than {self.max_audio_s:g} seconds")
        return piece

    def close(self) -> None:
        """Let go of the demuxer; the file stays its owner's."""
        self._pieces = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def _decode(self) -> Iterator[bytes]:
        container = self._container = self._open()
        resampler = AudioResampler(format="s16", layout="mono", rate=PCM_RATE_HZ)
        waiting = bytearray()
        for frame in _frames(container):
            for resampled in resampler.resample(frame):
                waiting += bytes(resampled.planes[0])[: resampled.samples * BYTES_PER_SAMPLE]
            while len(waiting) >= PIECE_BYTES:
                yield bytes(waiting[:PIECE_BYTES])
                del waiting[:PIECE_BYTES]
        if waiting:
            yield bytes(waiting)

    def _open(self) -> InputContainer:
        try:
            container = av.open(self.file, "r", options=_OPTIONS)
        except (av.FFmpegError, ValueError) as broken:
            raise UnreadableAudioError("the file is not wav, mp3, ogg, webm, flac or mp4 audio") from broken
        if not container.streams.audio:
            container.close()
            raise UnreadableAudioError("the file holds no audio")
        return container


def _frames(container: InputContainer) -> Iterator[AudioFrame | None]:
    """Decoded frames, then None to drain the resampler. A file cut short gives what it holds."""
    decoded = 0
    try:
        for frame in container.decode(container.streams.audio[0]):
            frame.pts = None  # gaps and jumps in a file's time line would make the resampler invent silence
            decoded += frame.samples
            yield frame
    except av.FFmpegError as broken:
        if not decoded:
            raise UnreadableAudioError("the file's audio cannot be decoded") from broken
    if decoded:
        yield None
