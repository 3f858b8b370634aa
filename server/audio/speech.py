"""Synthesises text to an audio file, sent while the voice still speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.audio.encode import AUDIO_FORMATS, BYTES_PER_SAMPLE, PcmEncoder, audio_encoder
from server.workers import in_codec_thread
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
                encoder = audio_encoder(name, event.sample_rate_hz, rate_hz)
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


async def _encoded(encoder: AudioEncoder, waiting: bytearray) -> bytes:
    """Encode all that waits. Passing through or resampling takes some 10 µs and needs no thread."""
    pcm = bytes(waiting)
    waiting.clear()
    if isinstance(encoder, PcmEncoder):
        return encoder.encode(pcm)
    return await in_codec_thread(encoder.encode, pcm)
