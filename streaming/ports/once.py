"""Running a thing once, however often it is asked for: claim it, run it, keep what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KeyT = TypeVar("KeyT")
KeyT_contra = TypeVar("KeyT_contra", contravariant=True)
AnswerT = TypeVar("AnswerT")


class Claims(Protocol[KeyT_contra, AnswerT]):
    """Remembers for a day what each key's first request came to, as far as replicas share a store."""

    async def claim(self, key: KeyT_contra) -> AnswerT | None:
        """None: it is the first; run, then `keep` or `release`. Else what was kept."""

    async def keep(self, key: KeyT_contra, answer: AnswerT) -> None:
        """It came to this."""

    async def release(self, key: KeyT_contra) -> None:
        """Nothing has happened: the same request may run."""


@dataclass(frozen=True, slots=True)
class RunKey:
    """By what a command that comes again is known: who sent it, in which session, with which id, and what it asks for."""

    user_id: str
    session_id: str
    command_id: str
    what: str
    request: dict[str, Any]


RunOnce = Claims[RunKey, dict[str, Any]]
"""Of a socket's commands; answers are JSON. `claim` waits while the first still runs, wherever that is.

A kept answer without any of its fields was too large. `claim` raises ServiceError ABORTED when the first runs for too long.
"""


async def run_once(
    claims: Claims[KeyT, AnswerT],
    key: KeyT,
    work: Callable[[], Awaitable[AnswerT]],
    answer_after: Callable[[BaseException], AnswerT | None],
) -> tuple[AnswerT, bool]:
    """What `work` comes to, or came to when the same key came before; and whether it came before.

    When `work` raises, `answer_after` says what is kept; None: it is certain that nothing ran, so the key is free again.
    """
    kept = await claims.claim(key)
    if kept is not None:
        return kept, True
    answer: AnswerT | None = None
    try:
        answer = await work()
    except BaseException as error:
        answer = answer_after(error)
        raise
    finally:
        await (claims.release(key) if answer is None else claims.keep(key, answer))
    return answer, False
