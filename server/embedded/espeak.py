"""eSpeak NG through ctypes. Its state is global: one thread, one synthesis at a time. Source: speak_lib.h of eSpeak NG 1.52."""

from __future__ import annotations

import ctypes
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from collections.abc import Callable

SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: the callback gets the samples, nothing is played
CHUNK_MS = 60
RATE_PARAMETER = 1
CHARS_UTF8 = 1
POSITION_CHARACTER = 1
END_PAUSE = 0x1000
EVENT_END, EVENT_WORD = 0, 1
NORMAL_WPM, SLOWEST_WPM, FASTEST_WPM = 175, 80, 450


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.POINTER(ctypes.c_char)),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """One of the library's voices; `language` is its first, such as en-us."""

    name: str
    language: str
    gender: str


@dataclass(slots=True)
class Chunk:
    """Some 60 ms of 16-bit mono PCM, and the words that begin in it: (position in the text, length, ms in the audio)."""

    pcm: bytes
    words: list[tuple[int, int, int]] = field(default_factory=list)


class Espeak:
    """Call everything from one thread. Raises MissingPartError when the library is not there."""

    def __init__(self) -> None:
        try:
            loader: Any = importlib.import_module("espeakng_loader")
        except ImportError:
            raise MissingPartError("eSpeak NG is missing: pip install espeakng-loader") from None
        try:
            self._library = ctypes.CDLL(loader.get_library_path())
        except OSError as error:
            raise MissingPartError(f"eSpeak NG cannot be loaded: {error}") from None
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        data_path = str(loader.get_data_path()).encode()
        self.sample_rate_hz = self._library.espeak_Initialize(SYNCHRONOUS, CHUNK_MS, data_path, 0)
        if self.sample_rate_hz <= 0:
            raise MissingPartError("eSpeak NG does not start: its data is missing")
        self._on_chunk: Callable[[Chunk], bool] | None = None
        self._callback = _CALLBACK(self._called)  # kept: the library holds its address
        self._library.espeak_SetSynthCallback(self._callback)

    def voices(self) -> list[EspeakVoice]:
        """All of them, in the library's order."""
        listed, found = self._library.espeak_ListVoices(None), []
        for pointer in iter(listed):
            if not pointer:
                break
            voice = pointer.contents
            language = ctypes.cast(ctypes.addressof(voice.languages.contents) + 1, ctypes.c_char_p).value or b""
            gender = {1: "male", 2: "female"}.get(voice.gender, "neutral")
            found.append(EspeakVoice(voice.name.decode(), language.decode(), gender))
        return found

    def select(self, voice: str, wpm: int) -> bool:
        """Speak with this voice (language, `+variant` behind it) at so many words a minute; False: no such voice."""
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            return False
        self._library.espeak_SetParameter(RATE_PARAMETER, wpm, 0)
        return True

    def speak(self, text: str, on_chunk: Callable[[Chunk], bool]) -> None:
        """Synthesise; returns when all is said or `on_chunk` returned False."""
        data = text.encode()
        self._on_chunk = on_chunk
        self._library.espeak_Synth(data, len(data) + 1, 0, POSITION_CHARACTER, 0, CHARS_UTF8 | END_PAUSE, None, None)
        self._on_chunk = None

    def _called(self, samples: Any, n_samples: int, events: Any) -> int:
        """From the library; 1 stops it."""
        words = []
        index = 0
        while events and events[index].type != EVENT_END:
            event = events[index]
            if event.type == EVENT_WORD:
                words.append((event.text_position - 1, event.length, event.audio_position))
            index += 1
        if not samples or self._on_chunk is None:
            return 0
        return 0 if self._on_chunk(Chunk(ctypes.string_at(samples, n_samples * 2), words)) else 1
