"""Records of live sessions in Redis, for the replica that takes a session over when its own is gone.

Each epoch of a session is a hash, whose fields `streaming.jarvis.journal` describes; one key names the session's owner. All
are in one cluster slot. Every write checks that the record still belongs to its writer, so a replica that was taken for dead and
wakes up learns it before anything else leaves.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any, cast

import structlog

from server.shared.redis_errors import NoScriptError, RedisDownError, RedisRefusedError
from server.shared.state import PREFIX
from server.shared.store_epoch import BEATING, KEY
from streaming.jarvis.journal import Unclaimed, WriteOutcome, Writer, Written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.shared.redis_link import RedisLink
    from server.shared.state import State
    from server.shared.store_epoch import StoreEpoch
    from streaming.jarvis.journal import Change, SessionHead

CLAIMED = "session.claimed"
BEGUN_ANEW = "session.begun_anew"
PATIENCE_S = 3.0
REWRITTEN_WITHIN_S = 2.0  # after a new store epoch, living replicas rewrite their records within a beat
LOOK_AGAIN_S = 0.1
STALE, UNKNOWN = [b"stale"], [b"unknown"]
LOST = WriteOutcome("lost")

log = structlog.get_logger(__name__)


# In Redis and in the news, the writer of a record is called its owner.
# KEYS: record, the session's user, its current epoch, the record under its former token. ARGV: owner, user, life in ms, term,
# order, epoch, "whole" or "update", version, the version it builds on, the store's epoch, the number of fields to remove, these
# fields, then fields and values. Returns the outcome and the epoch's order.
WRITE = """
local user = redis.call('GET', KEYS[2])
if user and user ~= ARGV[2] then return {'foreign', 0} end
local owner, term, version = unpack(redis.call('HMGET', KEYS[1], 'owner', 'claims', 'version'))
if owner and owner ~= ARGV[1] and tonumber(term or 0) >= tonumber(ARGV[4]) then return {'taken', 0} end
if ARGV[7] == 'update' and (owner ~= ARGV[1] or version ~= ARGV[9]) then return {'lost', 0} end
if KEYS[4] ~= KEYS[1] then
  local other, count = unpack(redis.call('HMGET', KEYS[4], 'owner', 'claims'))
  if other and other ~= ARGV[1] and tonumber(count or 0) >= tonumber(ARGV[4]) then return {'taken', 0} end
end
local order, met = tonumber(ARGV[5]), 'kept'
if order ~= 0 then
  local current = redis.call('GET', KEYS[3])
  local known, epoch = 0, ARGV[6]
  if current then
    known, epoch = string.match(current, '^(%d+) (.*)$')
    known = tonumber(known)
  end
  if order < 0 and epoch == ARGV[6] and known > 0 then
    order = known
  elseif order < 0 then
    local now = redis.call('TIME')
    order = math.max(known + 1, now[1] * 1000 + math.floor(now[2] / 1000))
  end
  if epoch ~= ARGV[6] then
    if known > order then return {'superseded', 0} end
    met = 'anew'
  end
  redis.call('SET', KEYS[3], string.format('%.0f %s', order, ARGV[6]), 'PX', ARGV[3])
end
if ARGV[7] ~= 'update' then redis.call('DEL', KEYS[1]) end
local gone = tonumber(ARGV[11])
for i = 12, 11 + gone do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'claims', ARGV[4], 'version', ARGV[8], 'order', string.format('%.0f', order))
redis.call('HSET', KEYS[1], 'epoch', ARGV[6], 'store', ARGV[10])
for i = 12 + gone, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
if KEYS[4] ~= KEYS[1] then
  redis.call('DEL', KEYS[4])
  redis.call('HSET', KEYS[4], 'moved', KEYS[1])
  redis.call('PEXPIRE', KEYS[4], ARGV[3])
end
return {met, order}
"""

# KEYS: as above. ARGV: the new owner, user, life in ms, the current owner if it is the caller (else empty).
# Returns the record as it was. The term is increased. A client that was away when its session got another token comes with its former
# one, which leads to the record (`moved`). The record is then stored under that one, because only tokens' digests are known here;
# what stays behind tells its former owner.
CLAIMING = """
local function claim(now_in)
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return {'unknown'} end
local key, moved = KEYS[1], redis.call('HGET', KEYS[1], 'moved')
while moved do key, moved = moved, redis.call('HGET', moved, 'moved') end
local owner, term, order, epoch, store = unpack(redis.call('HMGET', key, 'owner', 'claims', 'order', 'epoch', 'store'))
if not owner then return {'unknown'} end
local current = redis.call('GET', KEYS[3])
if current and tonumber(order or 0) > 0 and string.match(current, '^%d+ (.*)$') ~= epoch then return {'superseded'} end
if owner == ARGV[4] then return {'ours', redis.call('HGET', key, 'signed_out_by') or '[]'} end
if store ~= now_in then return {'stale'} end
local fields = redis.call('HGETALL', key)
if key ~= KEYS[1] then
  redis.call('RENAME', key, KEYS[1])
  redis.call('HSET', key, 'moved', KEYS[1], 'owner', ARGV[1], 'claims', tonumber(term or 0) + 1)
  redis.call('PEXPIRE', key, ARGV[3])
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'claims', tonumber(term or 0) + 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return fields
end
"""
# ARGV[5]: the store's epoch.
CLAIM = CLAIMING + "return claim(ARGV[5])"
# KEYS[5]: the store's key. ARGV[5..6]: gap in ms, name of a new epoch. Returns the store's epoch too.
BEAT_AND_CLAIM = f"{BEATING}{CLAIMING}local store = beat(KEYS[5], ARGV[5], ARGV[6])\nreturn {{store, claim(store)}}"

FORGET = """
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end
return 0
"""
_SHA = {script: hashlib.sha1(script.encode()).hexdigest() for script in (WRITE, CLAIM, BEAT_AND_CLAIM, FORGET)}  # noqa: S324 - Redis' own name of a script


class SessionRecords:
    """Implements `streaming.jarvis.journal.SessionStore`. `life_s`: how long a record lives after its last write."""

    def __init__(self, link: RedisLink, epoch: StoreEpoch, state: State, life_s: float) -> None:
        self._link = link
        self._epoch = epoch
        self._state = state
        self._life_ms = round(life_s * 1000)

    async def write(self, session_id: str, writer: Writer, head: SessionHead, change: Change) -> WriteOutcome:
        fields = [part for item in change.fields.items() for part in item]
        if change.whole:
            fields += ["opened_at", str(head.opened_at)]
        keys = _keys(session_id, head.resume_token, change.former)
        mode = "whole" if change.whole else "update"
        about = (writer.name, head.user_id, self._life_ms, writer.term, change.order, head.epoch)
        versions = (change.version, change.builds_on)
        try:
            store = self._epoch.name or await self._epoch.beat()
            answer, order = await self._run(
                WRITE, keys, *about, mode, *versions, store, len(change.gone), *change.gone, *fields
            )
        except RedisDownError:
            return LOST
        except RedisRefusedError as refused:
            log.warning("redis refused a session's record", reason=str(refused))
            return LOST
        written = str(answer, "ascii")
        if written == "anew":
            await self._state.publish(BEGUN_ANEW, session_id=session_id)
        return WriteOutcome("kept" if written == "anew" else cast("Written", written), int(order))

    async def claim(
        self, session_id: str, name: str, user_id: str, resume_token: str, mine: str
    ) -> dict[str, str] | Unclaimed:
        keys, about = _keys(session_id, resume_token), (name, user_id, self._life_ms, mine)

        async def at_once(gap_ms: int, fresh: str) -> tuple[bytes, list[bytes]]:
            store, found = await self._run(BEAT_AND_CLAIM, (*keys, KEY), *about, gap_ms, fresh)
            return store, found

        async def ask() -> list[bytes]:
            """Beat first: a Redis that was away may hold outdated records. A client waits, so do both in one round trip if possible."""
            if self._link.one_server:
                return await self._epoch.beat_with(at_once)
            store = await self._epoch.beat()
            found: list[bytes] = await self._run(CLAIM, keys, *about, store)
            return found

        clock = asyncio.get_running_loop().time
        give_up_at = clock() + REWRITTEN_WITHIN_S
        try:
            # A client is waiting for its conversation, so ask again while Redis is unstable.
            found = await self._link.patiently(ask, PATIENCE_S)
            while (found == STALE or (found == UNKNOWN and self._unsettled)) and clock() < give_up_at:
                await asyncio.sleep(LOOK_AGAIN_S)
                found = await self._link.patiently(ask, PATIENCE_S)
        except (RedisDownError, RedisRefusedError):
            return "unreachable"
        words = [str(part, "utf-8") for part in found]
        if found == STALE:
            return "unknown"
        if words[0] == "ours":
            await self._signed_out(words[1])  # tells the listeners, who end the session that is here
            return "ours"
        if len(words) == 1:
            return cast("Unclaimed", words[0])
        fields = dict(zip(words[::2], words[1::2], strict=True))
        await self._state.publish(CLAIMED, session_id=session_id, owner=fields["owner"])
        fields.pop("store")
        # Its replica was gone, or has not heard of the sign-out yet. Older releases did not write this field.
        if await self._signed_out(fields.get("signed_out_by", "[]")):
            await self.forget(session_id, Writer(name), resume_token)
            return "unknown"
        return fields | {"claims": str(int(fields.get("claims", 0)) + 1)}

    async def _signed_out(self, ids: str) -> bool:
        """Ask Redis, because news may be late or lost. `ids`: the record's field."""
        signed_out_by = json.loads(ids)
        return bool(signed_out_by) and await self._state.revocation(*signed_out_by)

    @property
    def _unsettled(self) -> bool:
        """True if Redis is just back: a living replica may not have written a session yet that got a new token meanwhile."""
        return asyncio.get_running_loop().time() - self._epoch.news_at < REWRITTEN_WITHIN_S

    @property
    def silent_s(self) -> float:
        """Seconds since the newest write that Redis confirmed was sent."""
        return self._epoch.silent_s

    async def forget(self, session_id: str, writer: Writer, resume_token: str) -> None:
        try:
            await self._run(FORGET, _keys(session_id, resume_token)[:1], writer.name)
        except (RedisDownError, RedisRefusedError):
            return  # the record expires by itself

    async def _run(self, script: str, keys: Sequence[str], *arguments: str | float) -> Any:
        try:
            return await self._link.call("EVALSHA", _SHA[script], len(keys), *keys, *arguments, patient=True)
        except NoScriptError:  # Redis has restarted
            return await self._link.call("EVAL", script, len(keys), *keys, *arguments, patient=True)


def _keys(session_id: str, resume_token: str, former_token: str = "") -> tuple[str, ...]:
    """Keys of the record, user, current epoch and former record. Tokens are hashed, because others can read the key names."""
    session = f"{PREFIX}session:{{{session_id}}}"
    record, former = (f"{session}:{_digest(token)}" for token in (resume_token, former_token or resume_token))
    return record, f"{session}:user", f"{session}:current", former


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:32]
