"""Records of live sessions in Redis, for the replica that goes on when one is gone.

One hash for each epoch of a session, whose fields `streaming.jarvis.journal` describes, and one key that says whose session it is.
Both lie in one slot of a cluster. Every write asks whether the record is still the writer's: a replica that was taken for dead
and wakes up finds out with its next word, before that word leaves.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import NoScriptError, ResponseError

from server.shared.redis_link import RedisDownError
from server.shared.state import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.shared.redis_link import RedisLink
    from server.shared.state import State
    from streaming.jarvis.journal import Head, Mode, Written

ENTERED = "session.entered"
CLAIMED = "session.claimed"
BEGUN_ANEW = "session.begun_anew"
PATIENCE_S = 3.0

log = structlog.get_logger(__name__)


# In Redis and in the news, the writer of a record is called its owner: replicas of the version before read both.
# KEYS: record, user of the session. ARGV: owner, user, life in ms, mode, count of fields to remove, these, fields and values.
WRITE = """
local user = redis.call('GET', KEYS[2])
if user and user ~= ARGV[2] then return 'foreign' end
local owner = redis.call('HGET', KEYS[1], 'owner')
if ARGV[4] == 'update' and not owner then return 'lost' end
if owner and owner ~= ARGV[1] then return 'taken' end
if ARGV[4] ~= 'update' then redis.call('DEL', KEYS[1]) end
local gone = tonumber(ARGV[5])
for i = 6, 5 + gone do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
for i = 6 + gone, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return user and 'met' or 'kept'
"""

# KEYS: as above. ARGV: owner, user, life in ms. Returns the record as it was.
CLAIM = """
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return {} end
local fields = redis.call('HGETALL', KEYS[1])
if #fields > 0 then
  redis.call('HSET', KEYS[1], 'owner', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return fields
"""

FORGET = """
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end
return 0
"""
_SHA = {script: hashlib.sha1(script.encode()).hexdigest() for script in (WRITE, CLAIM, FORGET)}  # noqa: S324 - Redis' own name of a script


class SessionRecords:
    """`streaming.jarvis.journal.SessionStore`. `life_s`: how long a record lives that nobody writes on."""

    def __init__(self, link: RedisLink, state: State, life_s: float) -> None:
        self._link = link
        self._state = state
        self._life_ms = round(life_s * 1000)

    async def write(
        self, session_id: str, writer: str, head: Head, changed: Mapping[str, str], gone: Sequence[str], mode: Mode
    ) -> Written:
        """As SessionStore."""
        fields = [part for item in changed.items() for part in item]
        if mode != "update":
            fields += ["opened_at", str(head.opened_at)]
        keys = _keys(session_id, head.resume_token)
        try:
            answer = await self._run(WRITE, keys, writer, head.user_id, self._life_ms, mode, len(gone), *gone, *fields)
        except RedisDownError:
            return "lost"
        except ResponseError as refused:
            log.warning("redis refused a session's record", reason=str(refused))
            return "lost"
        written = str(answer, "ascii")
        if written != "met":
            return _WRITTEN[written]
        if mode == "begin":
            await self._state.publish(ENTERED, session_id=session_id, owner=writer)
        return "kept"

    async def claim(self, session_id: str, writer: str, user_id: str, resume_token: str) -> dict[str, str] | None:
        """As SessionStore."""
        keys = _keys(session_id, resume_token)
        try:
            # a client waits with its conversation: a Redis that stumbles is asked again
            found = await self._link.patiently(
                lambda: self._run(CLAIM, keys, writer, user_id, self._life_ms), PATIENCE_S
            )
        except (RedisDownError, ResponseError):
            return None
        words = [str(part, "utf-8") for part in found]
        fields = dict(zip(words[::2], words[1::2], strict=True))
        if not fields:
            return None
        await self._state.publish(CLAIMED, session_id=session_id, owner=fields["owner"])
        return fields

    async def forget(self, session_id: str, writer: str, resume_token: str) -> None:
        """As SessionStore."""
        try:
            await self._run(FORGET, _keys(session_id, resume_token)[:1], writer)
        except (RedisDownError, ResponseError):
            return  # it ends by itself

    async def begin_anew(self, session_id: str, writer: str, user_id: str) -> None:
        """As SessionStore."""
        await self._state.publish(BEGUN_ANEW, session_id=session_id, owner=writer, user_id=user_id)

    async def _run(self, script: str, keys: Sequence[str], *arguments: str | float) -> Any:
        try:
            return await self._link.call("EVALSHA", _SHA[script], len(keys), *keys, *arguments)
        except NoScriptError:  # a Redis that was started since
            return await self._link.call("EVAL", script, len(keys), *keys, *arguments)


_WRITTEN: dict[str, Written] = {"kept": "kept", "lost": "lost", "taken": "taken", "foreign": "foreign"}


def _keys(session_id: str, resume_token: str) -> tuple[str, str]:
    """The token itself is nobody's business who can read Redis' keys."""
    epoch = hashlib.sha256(resume_token.encode()).hexdigest()[:32]
    session = f"{PREFIX}session:{{{session_id}}}"
    return f"{session}:{epoch}", f"{session}:user"
