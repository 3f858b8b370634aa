"""eSpeak NG through ctypes: synthesis into memory, with word events. Source: speak_lib.h of eSpeak NG 1.52.

Its state is global, so there is one instance, called from one thread. A piece of 300 characters takes some 20 ms. Some texts crash it,
so it runs in a process of its own (espeak_worker).
"""

from __future__ import annotations

import ctypes
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from server.embedded.service import MissingPartError
from server.embedded.tts.engine import EngineVoice, Spoken, WordMark
from server.embedded.tts.level import volume_percent
from server.embedded.tts.pieces import LONG_WORD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: the callback gets the samples, and nothing is played
CHUNK_MS = 60  # interval of checking `wanted`
RATE_PARAMETER, VOLUME_PARAMETER = 1, 2
POSITION_CHARACTER = 1
CHARS_UTF8 = 1  # only this: SSML and [[phonemes]] are spoken instead of interpreted
EVENT_END, EVENT_WORD = 0, 1
OK = 0
NORMAL_WPM = 175  # the library's own default; speed 1
SLOWEST_SPEED = 80 / NORMAL_WPM  # the library's minimum is 80 words per minute
FASTEST_SPEED = 700 / NORMAL_WPM  # above 450 it compresses its own output (sonic)
NORMAL_VOLUME = 100
SAMPLE_TEXT = "1 2 3 4 5 6 7"  # exists in every language; used to measure a voice's loudness
GENDERS = {1: "male", 2: "female"}


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
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class EspeakLibrary:
    """The loaded library. Raises MissingPartError if its data is missing, and OSError if it cannot be loaded."""

    def __init__(self, library_path: Path, data_path: Path) -> None:
        self._library: Any = ctypes.CDLL(str(library_path))
        self.sample_rate_hz: int = self._library.espeak_Initialize(SYNCHRONOUS, CHUNK_MS, str(data_path).encode(), 0)
        if self.sample_rate_hz <= 0:
            raise MissingPartError("eSpeak NG does not start: its data is missing")
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._callback = _CALLBACK(self._called)  # keep it: the library has its address
        self._library.espeak_SetSynthCallback(self._callback)
        self.variants = tuple(sorted(path.name for path in (data_path / "voices" / "!v").iterdir()))
        self._identifiers: dict[str, str] = {}
        self.voices = tuple(self._list_voices({path.stem for path in data_path.glob("*_dict")}))
        self._volumes: dict[str, int] = {}
        self._begin(lambda: True)

    def _list_voices(self, dictionaries: set[str]) -> list[EngineVoice]:
        listed, found = self._library.espeak_ListVoices(None), []
        for pointer in iter(listed):
            if not pointer:
                break
            voice = pointer.contents
            identifier, languages = voice.identifier.decode(), _languages(voice.languages)
            if not any(f"{name.partition('-')[0]}_dict" in dictionaries for _, name in languages):
                continue  # without its dictionary, a language is spelled out, with errors on standard error
            voice_id = languages[0][1].lower()
            if voice_id in self._identifiers:
                voice_id = identifier.rpartition("/")[2].lower()
            self._identifiers[voice_id] = identifier
            gender = GENDERS.get(voice.gender, "neutral")
            found.append(EngineVoice(voice_id, voice.name.decode().strip(), languages, gender))
        return found

    def say(self, text: str, voice_id: str, speed: float, wanted: Callable[[], bool]) -> Spoken:
        """Synthesise; see Engine. Raises ValueError for an unknown voice.

        For signs that a voice has no words for, the library makes a moment of digital silence, which is nothing said.
        """
        base, plus, variant = voice_id.partition("+")
        # By identifier: some tags, such as en-gb, are listed but not found.
        self._select(f"{self._identifiers[base]}{plus}{variant}")
        self._library.espeak_SetParameter(RATE_PARAMETER, round(NORMAL_WPM * speed), 0)
        self._begin(wanted)
        ends = [match.end() for match in LONG_WORD.finditer(text)]
        for start, end in pairwise([0, *ends, len(text)]):
            self._synthesise(text[start:end], start)
        return Spoken(bytes(self._pcm), tuple(self._marks)) if any(self._pcm) else Spoken(b"")

    def _select(self, name: str) -> None:
        """Select the voice, at the same loudness as all others."""
        if self._library.espeak_SetVoiceByName(name.encode()) != OK:
            raise ValueError(f"eSpeak NG has no voice {name}")
        if name not in self._volumes:
            self._library.espeak_SetParameter(VOLUME_PARAMETER, NORMAL_VOLUME, 0)
            self._library.espeak_SetParameter(RATE_PARAMETER, NORMAL_WPM, 0)
            self._begin(lambda: True)
            self._synthesise(SAMPLE_TEXT)
            self._volumes[name] = volume_percent(bytes(self._pcm))
        self._library.espeak_SetParameter(VOLUME_PARAMETER, self._volumes[name], 0)

    def _begin(self, wanted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self._pcm = bytearray()
        self._marks: list[WordMark] = []

    def _synthesise(self, text: str, position: int = 0) -> None:
        """Add the audio of a text, or of the part of one that begins there."""
        if not self._wanted():
            return
        self._begun = position, len(self._pcm) * 500 / self.sample_rate_hz
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None)

    def _called(self, samples: Any, n_samples: int, events: Any) -> int:
        """The library's callback; returning 1 stops it."""
        index = 0
        while events and events[index].type != EVENT_END:
            event = events[index]
            if event.type == EVENT_WORD:
                position, at_ms = self._begun
                self._marks.append(WordMark(position + event.text_position - 1, at_ms + event.audio_position))
            index += 1
        if samples and n_samples:
            self._pcm += ctypes.string_at(samples, n_samples * 2)
        return 0 if self._wanted() else 1


def _languages(address: int) -> tuple[tuple[int, str], ...]:
    """Parse a C list of (priority byte, zero-terminated name), terminated by priority zero."""
    found: list[tuple[int, str]] = []
    while priority := ctypes.c_ubyte.from_address(address).value:
        name = ctypes.string_at(address + 1)
        found.append((priority, name.decode().lower()))
        address += len(name) + 2
    return tuple(found)
