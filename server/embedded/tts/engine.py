"""The interface of a synthesiser. Its calls block; at most `at_once` of them run concurrently, each in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class EngineVoice:
    """A voice. `languages`: lower-case tags with their rank (lower fits better), best first."""

    id: str
    name: str
    languages: tuple[tuple[int, str], ...]
    gender: str  # female, male, neutral

    @property
    def language(self) -> str:
        """The voice's main language."""
        return self.languages[0][1] if self.languages else ""


@dataclass(frozen=True, slots=True)
class WordMark:
    """The start of a word: its character in the text, and milliseconds of audio; also its end if the engine knows it."""

    position: int
    at_ms: float
    end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """One piece of text as 16-bit mono PCM; empty if nothing in it can be said. No marks: the engine has no word times.

    `unsaid`: from and to, of the characters whose script the engine left out.
    """

    pcm: bytes
    marks: tuple[WordMark, ...] = ()
    unsaid: tuple[tuple[int, int], ...] = ()


class Engine(Protocol):
    """A synthesiser."""

    @property
    def name(self) -> str:
        """hibari, espeak or piper."""

    @property
    def at_once(self) -> int:
        """The number of concurrent calls of `say`."""

    @property
    def sample_rate_hz(self) -> int:
        """The rate of its audio."""

    @property
    def voices(self) -> Sequence[EngineVoice]:
        """All its voices."""

    @property
    def variants(self) -> Sequence[str]:
        """Suffixes that may follow any voice's id after a +."""

    def speaking_rate(self, speed: float) -> float:
        """The speed closest to `speed` that it can speak by itself."""

    def say(self, text: str, voice_id: str, speed: float, wanted: Callable[[], bool]) -> Spoken:
        """Synthesise the text; returns the audio so far when `wanted` becomes False."""
