"""What the service asks of a synthesiser. Its calls block; at most `at_once` of them run at a time, each in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class EngineVoice:
    """A voice by its id; `languages` are lower-case tags, the most fitting first, each with its rank (lower fits better)."""

    id: str
    name: str
    languages: tuple[tuple[int, str], ...]
    gender: str  # female, male, neutral

    @property
    def language(self) -> str:
        """The language it is made for."""
        return self.languages[0][1] if self.languages else ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A word begins: its character in the text, and the audio's millisecond; where it ends, when the engine knows."""

    position: int
    at_ms: float
    end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """16-bit mono PCM of one piece of text; empty: it cannot say any of it. No marks: the engine tells no word times."""

    pcm: bytes
    marks: tuple[Mark, ...] = ()


class Engine(Protocol):
    """A synthesiser."""

    @property
    def name(self) -> str:
        """hibari, espeak, piper."""

    @property
    def at_once(self) -> int:
        """How many calls of `say` it takes at the same time."""

    @property
    def sample_rate_hz(self) -> int:
        """Of what it makes."""

    @property
    def voices(self) -> Sequence[EngineVoice]:
        """All it has."""

    @property
    def variants(self) -> Sequence[str]:
        """What may follow any voice's id behind a +."""

    def speaking_rate(self, speed: float) -> float:
        """The speed nearest to `speed` that it speaks by itself."""

    def say(self, text: str, voice_id: str, speed: float, wanted: Callable[[], bool]) -> Spoken:
        """Synthesise; what is there by then when `wanted` turns false."""
