"""Tries one way after the other to provide a part of a service. What fails costs that part, not the service."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

log = logging.getLogger(__name__)

PartT = TypeVar("PartT")

MAX_REASON_CHARS = 400  # of an exception's text, which may name every operator of a model


@dataclass(frozen=True, slots=True)
class Way(Generic[PartT]):
    """One way. `does`: what it does, for the log; `asked_by`: the setting that asks for it, empty if none does."""

    does: str
    start: Callable[[], Awaitable[PartT]]
    asked_by: str = ""


@dataclass(frozen=True, slots=True)
class Provided(Generic[PartT]):
    """A part that works, and the settings that asked for others."""

    part: PartT
    unmet: tuple[str, ...]


async def first_that_starts(ways: Sequence[Way[PartT]]) -> Provided[PartT]:
    """The first way that starts. The log says in one line which ones did not, and why.

    Raises MissingPartError, naming all reasons, if none does.
    """
    reasons: list[str] = []
    unmet: list[str] = []
    for way in ways:
        try:
            part = await way.start()
        except Exception as failure:  # noqa: BLE001 - models and their libraries fail with anything
            reasons.append(reason(failure, way.asked_by))
            unmet += [way.asked_by] if way.asked_by else []
            continue
        if reasons:
            log.warning("%s instead: %s", way.does, "; ".join(reasons))
        return Provided(part, tuple(unmet))
    raise MissingPartError("; or ".join(reasons))


def reason(failure: Exception, setting: str) -> str:
    """The failure in one line that names the setting, if there is one."""
    known = isinstance(failure, MissingPartError)
    words = " ".join(str(failure).split())[:MAX_REASON_CHARS]
    told = words if known else f"{type(failure).__name__}: {words}"
    return told if told.startswith(setting) else f"{setting}: {told}"


def label(engine: str, unmet: Sequence[str]) -> str:
    """An engine's name for people, with the settings that it does not meet: "whisper tiny.en without STT_MODEL_PATH"."""
    return f"{engine} without {' and '.join(unmet)}" if unmet else engine
