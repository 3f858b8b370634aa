"""Run each command at most once. A repeated command gets the first one's result, even in a new epoch or on another replica.

Keys and answers are stored like those of `Idempotency-Key`: for the same time, and shared as far as Redis reaches.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from server.errors import ApiError
from server.shared.idempotency import IdempotencyKey, StoredAnswer, fingerprint
from streaming.ports import GATEWAY, RunKey, ServiceError, run_once

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.shared.idempotency import IdempotencyStore
    from server.shared.state import State
    from streaming.ports import CallContext

NEWS = "task ended"
LOOK_AGAIN_S = 2.0  # news may get lost with a Redis connection; the record does not
WAIT_S = 300.0  # the longest task
MAX_KEPT_BYTES = 32 * 1024  # all tasks are kept for a day, and a screenshot is not worth that
NOT_KEPT = {"not_kept": True}


class RunOnceStore:
    """Implements `streaming.ports.RunOnce`."""

    def __init__(self, state: State, store: IdempotencyStore, wait_s: float = WAIT_S) -> None:
        self._state = state
        self._store = store
        self._wait_s = wait_s
        self._bells: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()  # of waiting callers
        state.subscribe(self._on_news)

    async def claim(self, key: RunKey) -> dict[str, Any] | None:
        stored_at, loop, bell = _stored_at(key), asyncio.get_running_loop(), None
        give_up_at = loop.time() + self._wait_s
        while True:
            try:
                kept = await self._store.claim(stored_at)
            except ApiError as refused:  # no other request can use this key
                if refused.code == "ALREADY_ANSWERED":
                    return NOT_KEPT
                if refused.code in {"ABORTED", "FORBIDDEN"}:
                    raise ServiceError(refused.code, refused.detail, final=True) from None
                if loop.time() >= give_up_at:
                    raise _still_runs() from None
                if bell is not None:
                    await _rings(bell, LOOK_AGAIN_S)
                # Do not wait the first time: the command may have just ended.
                bell = self._bells.setdefault(stored_at.key, asyncio.Event())
            else:
                return None if kept is None else json.loads(kept.body)

    async def knows(self, key: RunKey) -> bool:
        return await self._store.knows(_stored_at(key))

    async def keep(self, key: RunKey, answer: dict[str, Any]) -> None:
        body = json.dumps(answer)
        if len(body) > MAX_KEPT_BYTES:
            body = json.dumps(NOT_KEPT)
        stored_at = _stored_at(key)
        await self._store.keep(stored_at, StoredAnswer(200, "application/json", body))
        await self._state.publish(NEWS, user=key.user_id, name=stored_at.key)

    async def release(self, key: RunKey) -> None:
        stored_at = _stored_at(key)
        await self._store.release(stored_at)
        await self._state.publish(NEWS, user=key.user_id, name=stored_at.key)

    def _on_news(self, kind: str, news: dict[str, Any]) -> None:
        bell = self._bells.pop(news["name"], None) if kind == NEWS else None
        if bell is not None:
            bell.set()


async def _rings(bell: asyncio.Event, at_most_s: float) -> None:
    try:
        async with asyncio.timeout(at_most_s):
            await bell.wait()
    except TimeoutError:
        pass


def _stored_at(key: RunKey) -> IdempotencyKey:
    """The storage key. Clients cannot send NUL in an `Idempotency-Key`. It includes the request, as another run may reuse ids."""
    request = fingerprint(key.what, key.request)
    return IdempotencyKey(key.user_id, f"{key.session_id}\0{key.command_id}\0{request}", request, key.roles)


def _still_runs() -> ServiceError:
    words = "the same command still runs elsewhere: ask again for what it came to"
    return ServiceError("ABORTED", words, retry_after_ms=1000)


# --- calls ---


async def call_once(
    once: RunOnceStore,
    context: CallContext,
    op: str,
    params: dict[str, Any],
    run: Callable[[], Awaitable[Any]],
    refusal: ServiceError | None = None,
) -> Any:
    """Call `run`, or return the result of the same call made before. Raises ServiceError, which is kept as a result too.

    `refusal`: as of `run_once`.
    """
    key = RunKey(context.user_id, context.session_id, context.request_id, op, params, tuple(context.roles))

    async def work() -> dict[str, Any]:
        try:
            return {"data": await run()}
        except ServiceError as error:
            raise error.settling("id") from None

    answer, again = await run_once(once, key, work, _answer_after, refusal)
    return _again(answer) if again else answer["data"]


def _answer_after(error: BaseException) -> dict[str, Any] | None:
    if isinstance(error, asyncio.CancelledError):
        error = ServiceError("CANCELLED", "it was stopped, and may have run in part")
    elif not isinstance(error, ServiceError):
        error = ServiceError("INTERNAL", "something went wrong in the gateway")  # as its first answer says
    return None if error.nothing_ran else _refusal(error)


def _refusal(error: ServiceError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "service": error.service, "details": error.details}


def _again(kept: dict[str, Any]) -> Any:
    if kept == NOT_KEPT:
        raise ServiceError("ALREADY_ANSWERED", "it ran, but its answer is no longer kept")
    if "data" in kept:
        return kept["data"]
    service = kept["service"] or GATEWAY  # None in records of older releases
    raise ServiceError(kept["code"], kept["message"], service=service, details=kept.get("details"), final=True)
