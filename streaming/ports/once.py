"""Running something at most once per key: claim the key, run, keep the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from streaming.task_group import to_its_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

KeyT = TypeVar("KeyT")
KeyT_contra = TypeVar("KeyT_contra", contravariant=True)
AnswerT = TypeVar("AnswerT")


class Claims(Protocol[KeyT_contra, AnswerT]):
    """Keeps the result of each key's first request for a day, shared by the replicas that share a store."""

    async def claim(self, key: KeyT_contra) -> AnswerT | None:
        """None for the first request: run it, then `keep` or `release`. Otherwise the kept result. Cancelled, it leaves the key free."""

    async def knows(self, key: KeyT_contra) -> bool:
        """True if the key is claimed or has a result: a look, which leaves it as it is."""

    def keep(self, key: KeyT_contra, answer: AnswerT) -> Coroutine[None, None, None]:
        """Keep the result."""

    def release(self, key: KeyT_contra) -> Coroutine[None, None, None]:
        """Release the key, because nothing ran: the same request may run."""


@dataclass(frozen=True, slots=True)
class RunKey:
    """Identifies a repeated command: user, session, command id, and what it requests.

    `roles` do not: whoever has fewer rights than the first had is refused.
    """

    user_id: str
    session_id: str
    command_id: str
    what: str
    request: dict[str, Any]
    roles: tuple[str, ...] = ()


RunOnce = Claims[RunKey, dict[str, Any]]
"""Claims of a socket's commands; results are JSON. `claim` waits while the first run is still under way, on any replica.

A result that was too large is kept without its fields. `claim` raises ServiceError ABORTED if the first run takes too long, and
FORBIDDEN if the first had more rights.
"""


async def run_once(
    claims: Claims[KeyT, AnswerT],
    key: KeyT,
    work: Callable[[], Awaitable[AnswerT]],
    answer_after: Callable[[BaseException], AnswerT | None],
    refusal: Exception | None = None,
) -> tuple[AnswerT, bool]:
    """The result of `work`, or the kept result of the same key; and whether it was kept.

    If `work` raises, `answer_after` returns what to keep; None if nothing can have run, which releases the key. `refusal`: why `work`
    would be refused now. It is raised, unless the key is known: a claim and its release would cost more than the refusal.
    """
    if refusal is not None and not await claims.knows(key):
        raise refusal
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
        await to_its_end(claims.release(key) if answer is None else claims.keep(key, answer))
    return answer, False
