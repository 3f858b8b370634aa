"""Synthesises text to an audio file, sent while the voice still speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.audio.formats import AUDIO_FORMATS, BYTES_PER_SAMPLE
from server.process.workers import in_codec_thread
from streaming.ports import SynthesisAudio, SynthesisStarted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from server.audio.encode import AudioEncoder
    from streaming.ports import SynthesisStream

BATCH_MS = 200  # of PCM, encoded together after the first piece: a thread switch costs more than a short frame


async def speech_file(
    stream: SynthesisStream, name: str, sample_rate_hz: int | None
) -> AsyncGenerator[tuple[int, bytes], None]:
    """The file in pieces, each with the file's sample rate; none if there is no sound. Raises ServiceError.

    `name` is a key of AUDIO_FORMATS. Closing the generator early cancels the synthesis.
    """
    encoder: AudioEncoder | None = None
    rate_hz, batch_bytes, waiting, heard = 0, 0, bytearray(), False
    try:
        async for event in stream:
            if isinstance(event, SynthesisStarted):
                rate_hz = AUDIO_FORMATS[name].rate_hz(sample_rate_hz, event.sample_rate_hz)
                encoder = await in_codec_thread(_encoder, name, event.sample_rate_hz, rate_hz)
            elif isinstance(event, SynthesisAudio) and encoder is not None:
                waiting += event.pcm
                heard = True
                if len(waiting) >= batch_bytes:
                    batch_bytes = rate_hz * BYTES_PER_SAMPLE * BATCH_MS // 1000
                    yield rate_hz, await _encoded(encoder, waiting)
        if encoder is not None and heard:
            yield rate_hz, await _encoded(encoder, waiting) + await in_codec_thread(encoder.finish)
    finally:
        stream.cancel()


def _encoder(name: str, voice_hz: int, rate_hz: int) -> AudioEncoder:
    from server.audio.encode import audio_encoder  # noqa: PLC0415 - loading FFmpeg takes 0.1 s and 16 MB

    return audio_encoder(name, voice_hz, rate_hz)


async def _encoded(encoder: AudioEncoder, waiting: bytearray) -> bytes:
    """Encode all that waits."""
    pcm = bytes(waiting)
    waiting.clear()
    if encoder.quick:
        return encoder.encode(pcm)
    return await in_codec_thread(encoder.encode, pcm)
