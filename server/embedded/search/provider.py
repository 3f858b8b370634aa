"""The interface of search providers."""

from __future__ import annotations

import re
from collections.abc import Sequence  # noqa: TC003 - NamedTuple
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SNIPPET_CHARS = 400
MAX_TITLE_CHARS = 200
LOCAL = "local"  # the provider that searches this machine, and not the web

_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class WebResult:
    """One result. Title and snippet are plain text, `score` is 0 to 1."""

    title: str
    url: str
    snippet: str
    score: float


class Found(NamedTuple):
    """What a search has found. `whole`: False if its time was over before it had looked everywhere."""

    results: Sequence[WebResult]
    whole: bool = True


class ProviderError(Exception):
    """The provider does not answer, or not as it should; the text says what happened."""


class Provider(Protocol):
    """A source of results."""

    name: str
    at_once: int  # searches; more wait for their turn
    of_one_user: int  # of these
    left_out: int  # documents and folders that are not searched: named as secrets are, or too long

    async def start(self) -> None:
        """Prepare the provider. Raises MissingPartError."""

    async def search(self, query: str, most: int) -> Found:
        """At most `most` results, best first. Raises ProviderError."""

    async def stop(self) -> None:
        """Release everything."""


def provider_name(option: Callable[[str], str]) -> str:
    """The provider's name by the settings SEARCH_PROVIDER and SEARXNG_URL."""
    return option("SEARCH_PROVIDER").strip().lower() or ("searxng" if option("SEARXNG_URL") else LOCAL)


def one_line(text: str, most_chars: int) -> str:
    """Text without line breaks, cut at a word."""
    clean = _SPACES.sub(" ", text).strip()
    return clean if len(clean) <= most_chars else clean[:most_chars].rpartition(" ")[0] + "…"


def by_rank(index: int, total: int) -> float:
    """A score for providers that only rank their results."""
    return round(1.0 - index / max(1, total), 3)
