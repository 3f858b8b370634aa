"""Opens one audio file with FFmpeg, and decodes it.

The file is untrusted. Only the demuxers and decoders listed here may read it, because a playlist or a concat script could open
other files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from av.audio.codeccontext import AudioCodecContext

from server.audio import mp3
from server.audio.errors import UnreadableAudioError
from server.audio.mono import Mono, TooManyChannelsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame
    from av.container import InputContainer

    from server.audio.sections import Section

WAV_HEAD_BYTES = 4096  # the data chunk of a wav file begins within these bytes, after any metadata
# Of what is resampled: at 10 Hz, 64 KiB of FLAC became 200 MB, and at 2 GHz the resampler itself takes more. Speech is never recorded so.
MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 768_000
MAX_FRAME_SAMPLES = 4_194_304  # in all channels: FLAC's longest frame, 65,535 samples, with 64 channels
MAX_DAMAGED_IN_A_ROW = 500  # packets, some 10 s; a file unreadable for this long is not audio

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


def opened(part: Section) -> InputContainer:
    """The file, ready to be decoded. Raises UnreadableAudioError."""
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


def pcm(part: Section, container: InputContainer, rate_hz: int) -> Iterator[bytes]:
    """The file's audio as 16-bit mono, whose format may change midway. Raises UnreadableAudioError."""
    mono: Mono | None = None
    form: tuple[object, ...] = ()
    try:
        for frame in _mp3_frames(part, container) if container.format.name == "mp3" else _frames(container):
            now = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate)
            check_size(frame)
            if now != form:
                if mono is not None:
                    yield mono.convert(None)
                mono, form = Mono(frame.layout.nb_channels, rate_hz), now
            assert mono is not None, "the first frame makes it"
            yield mono.convert(frame)
        if mono is not None:
            yield mono.convert(None)
    except TooManyChannelsError as error:
        raise UnreadableAudioError(str(error)) from None


def check_size(frame: AudioFrame) -> None:
    """Refuse a frame that would be resampled to a hundred times its size, or is itself too long. Raises UnreadableAudioError."""
    if not MIN_RATE_HZ <= frame.sample_rate <= MAX_RATE_HZ:
        raise UnreadableAudioError(
            f"the audio has a rate of {frame.sample_rate} Hz, and {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz are read"
        )
    if frame.samples * frame.layout.nb_channels > MAX_FRAME_SAMPLES:
        raise UnreadableAudioError("the audio is in frames that are too long to be read")


def _why_unreadable(part: Section) -> str:
    part.seek(0)
    head = part.read(WAV_HEAD_BYTES)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE" and b"data" not in head:
        return "the file is empty: it is a wav without data"
    return "the file is not wav, mp3, ogg, webm, flac or mp4 audio"


def _mp3_frames(part: Section, container: InputContainer) -> Iterator[AudioFrame]:
    """Decoded frames, including those after damage, which FFmpeg's own reader would lose."""
    decoder = av.CodecContext.create(container.streams.audio[0].codec_context.name, "r")
    assert isinstance(decoder, AudioCodecContext), "`opened` has looked"
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
