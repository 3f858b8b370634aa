"""`Idempotency-Key`: a repeated request gets the answer to the first one (IETF httpapi draft)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.errors import ApiError, problem
from server.roles import include
from server.shared.in_process_state import ANSWERS
from server.shared.redis_errors import RedisRefusedError
from streaming.errors import OUTCOME_UNKNOWN
from streaming.task_group import to_its_end

if TYPE_CHECKING:
    from server.shared.state import State
    from server.shared.store_epoch import StoreEpoch

STORED_S = 24 * 3600
# Of one user's answers within a day, as they are stored. Beyond it of a longer answer only that there was one is kept: else one user
# could fill the Redis of all, as a search's answer may have megabytes, and a user gets a hundred a minute.
MOST_KEPT_BYTES = 64 * 1024 * 1024
KEPT = "kept:"  # the key under which they are counted
DEAD_AFTER_S = 1.0  # look twice: a Redis that has just restarted does not know yet which replicas live


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer to the first request."""

    status: int
    content_type: str
    body: str


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A user's key, the fingerprint of the request that it came with, and the roles of its token."""

    user_id: str
    key: str
    request: str
    roles: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Key under which the answer is stored in the state. Its form is that of earlier releases, which may run beside this one."""
        return f"{ANSWERS}{_digest(self.user_id + chr(0) + self.key)}:{_digest(self.user_id)[:16]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(operation: str, request: dict[str, Any]) -> str:
    """A hash that is equal for equal requests, however their JSON was written."""
    canonical = json.dumps([operation, request], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


class IdempotencyStore:
    """Implements `streaming.ports.Claims`. Keys are per user, and shared by all replicas that reach the same Redis."""

    def __init__(self, state: State, epoch: StoreEpoch | None = None) -> None:
        """`epoch` knows which replicas are alive. A replica that died holding a key will never answer."""
        self._state = state
        self._epoch = epoch
        self._held: dict[str, str] = {}  # the claims of requests that run here, by their key's name

    async def claim(self, key: IdempotencyKey) -> StoredAnswer | None:
        """Claim the key. None means that the caller should go on; otherwise returns the stored answer.

        Raises ApiError IDEMPOTENCY_IN_PROGRESS (409), IDEMPOTENCY_KEY_REUSED (422), ALREADY_ANSWERED (409) if there was no room for the
        answer, FORBIDDEN if the first request had more rights, and for a day ABORTED (409) if the replica that ran the request died:
        nobody knows whether it took effect.
        """
        replica = self._epoch.replica if self._epoch is not None else ""
        # No two claims are equal: a release that reaches Redis late must not take somebody else's, or a newer one.
        claim = _record(key, replica=replica, claim=secrets.token_hex(8))
        if await self._claimed(key, claim):
            return None
        held = json.loads(await self._state.get(key.name) or claim)
        if held["request"] != key.request:
            raise ApiError("IDEMPOTENCY_KEY_REUSED")
        if not include(key.roles, held.get("roles", ())):  # earlier releases did not keep them
            raise ApiError("FORBIDDEN", "this was asked first with roles that you do not have now")
        if "status" not in held:
            await self._check_alive(held.get("replica", ""))
            raise ApiError("IDEMPOTENCY_IN_PROGRESS", headers={"Retry-After": "1"})
        if "not_kept" in held:
            raise ApiError("ALREADY_ANSWERED")
        return StoredAnswer(held["status"], held["content_type"], held["body"])

    async def knows(self, key: IdempotencyKey) -> bool:
        return await self._state.get(key.name) is not None

    async def _claimed(self, key: IdempotencyKey, claim: str) -> bool:
        """True if nobody else has the key. A caller that is cancelled meanwhile runs nothing, and so leaves it free."""
        claimed = False

        async def put() -> None:
            nonlocal claimed
            claimed = await self._state.put(key.name, claim, STORED_S, only_new=True, owner=key.user_id)

        try:
            await to_its_end(put())
        except asyncio.CancelledError:
            if claimed:
                await to_its_end(self._state.remove(key.name, claim))
            raise
        if claimed:
            self._held[key.name] = claim
        return claimed

    async def _check_alive(self, replica: str) -> None:
        epoch = self._epoch
        if epoch is None or replica in {"", epoch.replica} or await epoch.lives(replica):
            return
        await asyncio.sleep(DEAD_AFTER_S)
        if not await epoch.lives(replica):
            raise ApiError("ABORTED", OUTCOME_UNKNOWN, extra={"retryable": False})

    async def keep(self, key: IdempotencyKey, answer: StoredAnswer) -> None:
        """Keep the answer for a day; if the user has used up the room for a day, or Redis refuses it, only that there was one."""
        whole = _record(key, status=answer.status, content_type=answer.content_type, body=answer.body)
        # the other fields are what an earlier release beside this one answers
        gone = ApiError("ALREADY_ANSWERED")
        words = json.dumps(problem(gone, "", ""))
        told = _record(key, not_kept=True, status=gone.status, content_type="application/problem+json", body=words)
        n_bytes = len(whole.encode())
        kept_bytes = await self._state.add(KEPT + _digest(key.user_id), n_bytes, STORED_S)
        with contextlib.suppress(RedisRefusedError):  # some hosts of Redis refuse long values
            if kept_bytes <= MOST_KEPT_BYTES or n_bytes <= len(told):
                await self._store(key, whole)
                return
        await self._store(key, told)

    async def _store(self, key: IdempotencyKey, record: str) -> None:
        self._held.pop(key.name, None)
        await self._state.put(key.name, record, STORED_S, owner=key.user_id)

    async def release(self, key: IdempotencyKey) -> None:
        """Release the key after a request that had no effect; the same request may be sent again."""
        claim = self._held.pop(key.name, None)
        if claim is not None:
            await self._state.remove(key.name, claim)


def _record(key: IdempotencyKey, **fields: Any) -> str:
    """As UTF-8: escaped, a character may take twelve bytes."""
    return json.dumps({"request": key.request, "roles": key.roles, **fields}, ensure_ascii=False)
