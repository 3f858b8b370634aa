"""Microphone, loudspeaker and WAV files for the client. The first two need the `sound` extra (sounddevice, PortAudio).

A source has `sample_rate` and `frames()`; a sink takes speech. Write your own for other devices.
"""

from __future__ import annotations

import asyncio
import importlib
import wave
from typing import TYPE_CHECKING, Any, Protocol

from streaming.client.arguments import SAMPLE_BYTES, check_path, check_rate
from streaming.client.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FRAME_MS = 20
TRAILING_SILENCE_MS = 1_000  # files often end with the last word, but the recogniser needs to hear the end of speech
MICROPHONE_RATE_HZ = 16_000
SOURCE_ADVICE = "Pass a Microphone, a WavFile, or an object with sample_rate and `async def frames(self)`, which yields 16-bit mono PCM."
SINK_ADVICE = (
    "Pass a Loudspeaker, or an object with begin(sample_rate), `async def play(self, pcm)`, stop() and close()."
)


class Source(Protocol):
    """A source of speech: 16-bit mono PCM."""

    @property
    def sample_rate(self) -> int:
        """In Hz, 8000 to 48000."""
        ...

    def frames(self) -> AsyncIterator[bytes]:
        """Frames of some 20 ms at the pace of speech, until it ends. Raises GatewayError."""
        ...


class Sink(Protocol):
    """A sink of speech: 16-bit mono PCM."""

    def begin(self, sample_rate: int) -> None:
        """Start an utterance at this rate in Hz. Raises GatewayError."""
        ...

    async def play(self, pcm: bytes) -> None:
        """Play PCM; returns when the device has taken it."""
        ...

    def stop(self) -> None:
        """Silence the device at once: the user has interrupted."""
        ...

    def close(self) -> None:
        """Release the device."""
        ...


class WavFile:
    """A WAV file of 16-bit mono PCM, played in real time and followed by a second of silence. Raises GatewayError."""

    def __init__(self, path: str | Path) -> None:
        name = check_path(path)
        try:
            with wave.open(name, "rb") as file:
                if file.getsampwidth() != SAMPLE_BYTES or file.getnchannels() != 1:
                    raise GatewayError(
                        "NO_SOUND", f"{path} is not 16-bit mono", "Convert it: ffmpeg -i IN -ac 1 OUT.wav"
                    )
                self.sample_rate = file.getframerate()
                self.pcm = file.readframes(file.getnframes())
        except (OSError, EOFError, wave.Error) as error:
            raise GatewayError("NO_SOUND", f"{name}: {error}", "Name a WAV file of 16-bit mono PCM.") from None

    def frames(self) -> AsyncIterator[bytes]:
        """The frames in real time."""
        return paced(self.pcm, self.sample_rate)


async def paced(pcm: bytes, sample_rate: int) -> AsyncIterator[bytes]:
    """16-bit PCM in 20 ms frames in real time, followed by a second of silence."""
    size = sample_rate * FRAME_MS // 1000 * SAMPLE_BYTES
    pcm += bytes(sample_rate * TRAILING_SILENCE_MS // 1000 * SAMPLE_BYTES)
    now = asyncio.get_running_loop().time
    began = now()
    for start in range(0, len(pcm), size):
        await asyncio.sleep(max(0.0, began + start / size * FRAME_MS / 1000 - now()))
        yield pcm[start : start + size]


class Microphone:
    """The machine's microphone. `device`: as in sounddevice; None: the default."""

    def __init__(self, sample_rate: int = MICROPHONE_RATE_HZ, device: int | str | None = None) -> None:
        self.sample_rate = check_rate(sample_rate)
        self._device = device

    async def frames(self) -> AsyncIterator[bytes]:
        """Frames until the iteration ends. Raises GatewayError if there is no microphone."""
        frames: asyncio.Queue[bytes] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def take(data: Any, *_rest: object) -> None:
            loop.call_soon_threadsafe(frames.put_nowait, bytes(data))

        sounddevice = _sounddevice()
        block = self.sample_rate * FRAME_MS // 1000
        try:
            stream = sounddevice.RawInputStream(
                self.sample_rate, block, self._device, channels=1, dtype="int16", callback=take
            )
        except Exception as error:  # PortAudioError; ValueError if there is no device
            raise GatewayError("NO_SOUND", f"the microphone does not open: {error}", "Plug one in.") from error
        with stream:
            while True:
                yield await frames.get()


class Loudspeaker:
    """The machine's loudspeaker. `device`: as in sounddevice; None: the default."""

    def __init__(self, device: int | str | None = None) -> None:
        self._device = device
        self._stream: Any = None
        self._sample_rate = 0

    def begin(self, sample_rate: int) -> None:
        """Open the device at this rate, if it is not open. Raises GatewayError."""
        if self._stream is not None and sample_rate == self._sample_rate:
            return
        self.close()
        try:
            self._stream = _sounddevice().RawOutputStream(sample_rate, 0, self._device, channels=1, dtype="int16")
            self._stream.start()
        except GatewayError:
            raise
        except Exception as error:  # PortAudioError; ValueError if there is no device
            raise GatewayError("NO_SOUND", f"the loudspeaker does not open: {error}", "Plug one in.") from error
        self._sample_rate = sample_rate

    async def play(self, pcm: bytes) -> None:
        """Play PCM; returns when the device has taken it."""
        if self._stream is not None:
            await asyncio.to_thread(self._stream.write, pcm)

    def stop(self) -> None:
        """Discard what the device has not played."""
        if self._stream is not None:
            self._stream.abort()
            self._stream.start()

    def close(self) -> None:
        """Release the device."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _sounddevice() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:  # not installed, or without PortAudio
        raise GatewayError("NO_SOUND", f"sounddevice does not work here ({error})") from None
