"""Content negotiation: `Accept` and `Accept-Encoding` (RFC 9110, sections 12.5.1 and 12.5.3)."""

from __future__ import annotations

from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REMEMBERED = 512  # distinct headers; clients send few of them, and an attacker's only evict each other
MAX_REMEMBERED_CHARS = 512  # of a header: browsers' have some hundred, and an attacker's could fill the memory

OthersT = ParamSpec("OthersT")
AnswerT = TypeVar("AnswerT")


def _remembered(
    read: Callable[Concatenate[str | None, OthersT], AnswerT],
) -> Callable[Concatenate[str | None, OthersT], AnswerT]:
    """Remember the answers for headers of the usual length; long ones are read anew."""
    known = lru_cache(MAX_REMEMBERED)(read)

    @wraps(read)
    def recall(header: str | None, /, *others: OthersT.args, **named: OthersT.kwargs) -> AnswerT:
        if header is not None and len(header) > MAX_REMEMBERED_CHARS:
            return read(header, *others, **named)
        return known(header, *others, **named)  # type: ignore[arg-type]

    return recall


def _weights(header: str) -> dict[str, float]:
    """The header's choices with their weights; an invalid weight counts as 0."""
    weights = {}
    for choice in header.split(","):
        name, *parameters = (part.strip().lower() for part in choice.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if name:
            weights[name] = weight
    return weights


@_remembered
def accepts(header: str | None, content_type: str) -> bool:
    """True if Accept allows the content type. A missing header allows all; the most specific choice decides."""
    if not header or not header.strip():
        return True
    weights = _weights(header)
    main = content_type.partition("/")[0]
    for choice in (content_type, f"{main}/*", "*/*"):
        if choice in weights:
            return weights[choice] > 0
    return False


@_remembered
def prefers(header: str | None, content_type: str, other: str) -> bool:
    """True if Accept names the content type, with at least the weight of the other."""
    weights = _weights(header or "")
    return weights.get(content_type, 0) > 0 and weights[content_type] >= weights.get(other, 0)


@_remembered
def preferred(header: str | None, types: tuple[tuple[str, tuple[str, ...]], ...]) -> str | None:
    """The name whose content types have the most weight, of (name, types); the first of equals. None if none is accepted."""
    if not header or not header.strip():
        return types[0][0]
    weights = _weights(header)
    best, most = None, 0.0
    for name, known in types:
        choices = [choice for one in known for choice in (one, f"{one.partition('/')[0]}/*") if choice in weights]
        weight = max((weights[choice] for choice in choices), default=weights.get("*/*", 0.0))
        if weight > most:
            best, most = name, weight
    return best


@_remembered
def accepts_gzip(header: str | None) -> bool:
    """True if the answer may be compressed with gzip."""
    weights = _weights(header or "")
    return weights.get("gzip", weights.get("*", 0)) > 0
