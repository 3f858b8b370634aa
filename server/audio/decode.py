"""Decodes an uploaded audio file to the PCM of speech-to-text: 16-bit little-endian mono at 16 kHz.

The file is untrusted. Only the demuxers and decoders listed here may read it, because a playlist or a concat script could open
other files. A small file that unpacks to hours of silence is cut off.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

import av
from av.audio.codeccontext import AudioCodecContext

from server.audio import mp3
from server.audio.mono import BYTES_PER_SAMPLE, Mono, TooManyChannelsError
from server.audio.sections import sections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame
    from av.container import InputContainer

    from server.audio.sections import Section

PCM_RATE_HZ = 16_000  # the rate that recognisers are trained on
PIECE_BYTES = PCM_RATE_HZ * BYTES_PER_SAMPLE // 2  # half a second: few thread switches, little in flight
WAV_HEAD_BYTES = 4096  # the data chunk of a wav file begins within these bytes, after any metadata
MAX_DAMAGED_IN_A_ROW = 500  # packets, some 10 s; a file unreadable for this long is not audio
MAX_AUDIO_S = 600  # ten minutes; longer recordings belong on a socket's stt channel

# FFmpeg's own names; `mov` is what Safari's MediaRecorder writes.
_DEMUXERS = "wav,mp3,ogg,matroska,webm,flac,mov,aac"
_DECODERS = frozenset(
    {"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8", "pcm_f32le", "pcm_f64le", "pcm_mulaw", "pcm_alaw", "adpcm_ms"}
    | {"adpcm_ima_wav", "mp3", "mp3float", "opus", "libopus", "vorbis", "flac", "aac", "alac"}
)
_OPTIONS = {
    "format_whitelist": _DEMUXERS,
    "codec_whitelist": ",".join(sorted(_DECODERS)),
    "probesize": "1000000",  # bytes read to guess the format; FFmpeg's default of 5 MB is for video
    "analyzeduration": "2000000",  # µs of audio analysed
}


class UnreadableAudioError(ValueError):
    """Not an audio file that we can read; the text says what was expected."""


class AudioTooLongError(ValueError):
    """The file unpacks to more than MAX_AUDIO_S seconds."""


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
        """The PCM of one section, whose format may change midway. Raises UnreadableAudioError."""
        container = self._container = _opened(part)
        mono: Mono | None = None
        form: tuple[object, ...] = ()
        try:
            for frame in _mp3_frames(part, container) if container.format.name == "mp3" else _frames(container):
                now = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate)
                if now != form:
                    if mono is not None:
                        yield mono.convert(None)
                    mono, form = Mono(frame.layout.nb_channels, PCM_RATE_HZ), now
                assert mono is not None, "the first frame makes it"
                yield mono.convert(frame)
            if mono is not None:
                yield mono.convert(None)
        except TooManyChannelsError as error:
            raise UnreadableAudioError(str(error)) from None
        finally:
            container.close()


def _opened(part: Section) -> InputContainer:
    try:
        container = av.open(part, "r", options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as broken:
        raise UnreadableAudioError(_why_unreadable(part)) from broken
    if not container.streams.audio:
        container.close()
        raise UnreadableAudioError("the file holds no audio")
    # PyAV has no context for a codec that FFmpeg does not know
    codec = getattr(container.streams.audio[0].codec_context, "name", "an unknown codec")
    if codec not in _DECODERS:  # FFmpeg applies codec_whitelist to probing only
        container.close()
        raise UnreadableAudioError(f"the file's audio is in {codec}, which is not read")
    return container


def _why_unreadable(part: Section) -> str:
    part.seek(0)
    head = part.read(WAV_HEAD_BYTES)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE" and b"data" not in head:
        return "the file is empty: it is a wav without data"
    return "the file is not wav, mp3, ogg, webm, flac or mp4 audio"


def _mp3_frames(part: Section, container: InputContainer) -> Iterator[AudioFrame]:
    """Decoded frames, including those after damage, which FFmpeg's own reader would lose."""
    decoder = av.CodecContext.create(container.streams.audio[0].codec_context.name, "r")
    assert isinstance(decoder, AudioCodecContext), "_opened has looked"
    damaged = 0
    decoded = False
    for data in mp3.frames(part):
        try:
            for frame in decoder.decode(av.Packet(data)):
                frame.pts = None
                damaged, decoded = 0, True
                yield frame
        except av.FFmpegError:
            damaged += 1
            if damaged > MAX_DAMAGED_IN_A_ROW:
                break
    if not decoded:
        raise UnreadableAudioError("the file's audio cannot be decoded")


def _frames(container: InputContainer) -> Iterator[AudioFrame]:
    """Decoded frames. Damaged packets are skipped; a truncated file yields what it has."""
    stream = container.streams.audio[0]
    packets = container.demux(stream)
    damaged = 0
    decoded = False
    while damaged <= MAX_DAMAGED_IN_A_ROW:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            for frame in stream.decode(packet):
                frame.pts = None  # the resampler would turn gaps and jumps in the timestamps into silence
                damaged, decoded = 0, True
                yield frame
        except av.EOFError:
            break
        except av.FFmpegError:
            damaged += 1
            packets = container.demux(stream)  # an error ends the iterator, but not the file
    if damaged and not decoded:
        raise UnreadableAudioError("the file's audio cannot be decoded")
