"""What every search provider gives, and how it is asked."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

_TAGS = re.compile(r"<[^>]+>")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Found:
    """One result; `snippet` is plain text, `score` 0 to 1."""

    title: str
    url: str
    snippet: str
    score: float


class Provider(Protocol):
    """Where results come from."""

    name: str

    async def start(self) -> None:
        """Acquire what it needs. Raises MissingPartError."""

    async def search(self, query: str, most: int) -> Sequence[Found]:
        """Best first. Raises OSError or TimeoutError when it can't be reached."""

    async def stop(self) -> None:
        """Release everything."""


def plain(text: str) -> str:
    """Without markup, in one line."""
    return _SPACES.sub(" ", html.unescape(_TAGS.sub(" ", text))).strip()


def by_rank(index: int, total: int) -> float:
    """A score for providers that only order their results."""
    return round(1.0 - index / max(1, total), 3)
