"""What the service asks of a synthesiser. Its calls block and come from one thread, one at a time."""

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
    """A word begins: its character in the text, and the audio's millisecond."""

    position: int
    at_ms: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """16-bit mono PCM of one piece of text. No marks: the engine tells no word times."""

    pcm: bytes
    marks: tuple[Mark, ...] = ()


class Engine(Protocol):
    """A synthesiser."""

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
