"""A stand-in for sounddevice: the microphone plays the file SPEECH, and the loudspeaker writes to the file PLAYED."""

import os
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path


class RawInputStream:
    def __init__(
        self,
        samplerate: int,
        blocksize: int,
        device: str | None,
        *,
        channels: int,
        dtype: str,
        callback: Callable[[bytes, int, None, None], None],
    ) -> None:
        assert (channels, dtype, device) == (1, "int16", None)
        with wave.open(os.environ["SPEECH"]) as file:
            assert file.getframerate() == samplerate
            self._pcm = file.readframes(file.getnframes())
        self._size, self._pause_s = blocksize * 2, blocksize / samplerate
        self._callback = callback
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()

    def _speak(self) -> None:
        at = 0
        while not self._over.is_set():
            frame = self._pcm[at : at + self._size]
            self._callback(frame + bytes(self._size - len(frame)), self._size // 2, None, None)
            at += self._size
            time.sleep(self._pause_s)


class RawOutputStream:
    def __init__(self, samplerate: int, _blocksize: int, device: str | None, *, channels: int, dtype: str) -> None:
        assert samplerate > 0
        assert (channels, dtype, device) == (1, "int16", None)
        self._played = Path(os.environ["PLAYED"])

    def start(self) -> None:
        pass

    abort = start

    def write(self, pcm: bytes) -> None:
        with self._played.open("ab") as file:
            file.write(pcm)

    close = start
