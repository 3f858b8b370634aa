"""A session's record in the store that replicas share: whatever a client may see is in it before it leaves.

A record is a handful of fields: `head` (whose it is), `core` (numbers, channels), `commands`, `lanes` (what each kind of work
needs to go on) and one field for each message that the client has not acknowledged. Only what changed is written, and what
changes while a write is under way is written with the next: a busy session costs one round trip at a time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from streaming.protocol.snapshot import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger(__name__)

Mode = Literal["begin", "whole", "update"]
Written = Literal["kept", "lost", "taken", "foreign"]
TEXT = "t"  # of the fields that hold a message: followed by its serial number
WRITE_AGAIN_S = 0.05
REFRESH_S = 20.0  # a record that is not written again ends; that of a silent session is renewed so often


@dataclass(frozen=True, slots=True)
class Head:
    """Whose session it is. `opened_at`: Unix seconds."""

    user_id: str
    resume_token: str
    opened_at: float


@dataclass(frozen=True, slots=True)
class KeptSession:
    """A session as another replica left it. `lanes`: what each channel's work carries, None where it can't be carried."""

    head: Head
    record: Record
    lanes: dict[int, dict[str, Any] | None]
    owner: str
    fields: frozenset[str]


class SessionStore(Protocol):
    """Where records are kept. `owner` names one life of a session: whoever claims a record writes on, the one before may not."""

    async def write(
        self, session_id: str, owner: str, head: Head, changed: Mapping[str, str], gone: Sequence[str], mode: Mode
    ) -> Written:
        """Keep these fields, forget those. "begin": a new session, whoever of its user had one; "whole": these are all.

        "taken": another replica has claimed it; "foreign": it is another user's; "lost": the store does not have the rest.
        """

    async def claim(self, session_id: str, owner: str, user_id: str, resume_token: str) -> Mapping[str, str] | None:
        """The record, from now on the claimant's; None when there is none of that user and token. Other replicas let go."""

    async def forget(self, session_id: str, owner: str, resume_token: str) -> None:
        """The session is over, if it is still the owner's."""

    async def begin_anew(self, session_id: str, owner: str, user_id: str) -> None:
        """The session's client speaks to that owner, and comes back to no other: other replicas let go of that user's."""


class Recorded(Protocol):
    """A live session, as far as its journal looks at it."""

    @property
    def session_id(self) -> str:
        """Its name."""

    @property
    def head(self) -> Head:
        """Whose it is."""

    def record(self, commands_version: int) -> Record:
        """Its numbers and messages now, and its commands unless they are of that version still."""

    def carried(self) -> dict[int, dict[str, Any] | None]:
        """What its work needs to go on elsewhere, by channel."""


class Journal:
    """Writes one session. `on_refused` is called once, when the record belongs to somebody else by now."""

    def __init__(
        self,
        store: SessionStore,
        session: Recorded,
        group: asyncio.TaskGroup,
        on_refused: Callable[[Written], None],
        kept: KeptSession | None = None,
    ) -> None:
        self._store = store
        self._session = session
        self._group = group
        self._on_refused = on_refused
        self.owner = kept.owner if kept else secrets.token_hex(8)
        self._mode: Mode = "update" if kept else "begin"
        self._fields: frozenset[str] = kept.fields if kept else frozenset()  # of messages, as the store has them
        self._commands_version = -1
        self._wanted = self._done = 0
        self._waiting: list[tuple[int, asyncio.Future[bool]]] = []
        self._clock = asyncio.get_running_loop().time
        self._written_at = 0.0
        self._running = False
        self._kept = False  # was the newest write?
        self.stopped = False

    def changed(self) -> None:
        """Write soon."""
        if self.stopped:
            return
        self._wanted += 1
        if not self._running:
            self._running = True
            self._group.create_task(self._write_all(), name=f"record of {self._session.session_id}")

    async def written(self) -> bool:
        """Everything up to now; returns when it is kept, or can't be. False: the session is not ours any more."""
        if self.stopped:
            return False
        self.changed()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._wanted, future))
        return await future

    async def settled(self, within_s: float) -> None:
        """The last word: written again and again until it is kept, or it is no use."""
        give_up_at = self._clock() + within_s
        while await self.written() and not self._kept and self._clock() < give_up_at:  # noqa: ASYNC110 - only asking tells whether Redis is back
            await asyncio.sleep(WRITE_AGAIN_S)

    def refresh(self) -> None:
        """Renew the record of a session in which nothing happens."""
        if self._clock() - self._written_at > REFRESH_S:
            self.changed()

    def stop(self) -> None:
        """Write no more."""
        self.stopped = True
        self._wake(ours=False)

    async def forget(self) -> None:
        """The session is over."""
        self.stop()
        await self._store.forget(self._session.session_id, self.owner, self._session.head.resume_token)

    async def _write_all(self) -> None:
        while self._done < self._wanted and not self.stopped:
            wanted = self._wanted
            written: Written
            try:
                written = await self._write()
            except Exception:
                log.exception("the record of session %s could not be made", self._session.session_id)
                written = "lost"
            self._done, self._kept = wanted, written == "kept"
            if written in {"taken", "foreign"} and not self.stopped:
                self.stop()
                self._on_refused(written)
            self._wake(ours=not self.stopped)
        self._running = False

    def _wake(self, *, ours: bool) -> None:
        due = [future for wanted, future in self._waiting if not ours or wanted <= self._done]
        self._waiting = [(wanted, future) for wanted, future in self._waiting if ours and wanted > self._done]
        for future in due:
            if not future.done():
                future.set_result(ours)

    async def _write(self) -> Written:
        record = self._session.record(self._commands_version)
        texts = {f"{TEXT}{serial}": text for serial, text in record.texts.items()}
        changed = {name: text for name, text in texts.items() if name not in self._fields}
        changed["core"] = _json(record.core)
        changed["lanes"] = _json(self._session.carried())
        if record.commands_version != self._commands_version:
            changed["commands"] = _json(record.commands)
        gone = [name for name in self._fields if name not in texts]
        session = self._session
        self._written_at = self._clock()
        written = await self._store.write(session.session_id, self.owner, session.head, changed, gone, self._mode)
        if written == "kept":
            self._fields, self._commands_version, self._mode = frozenset(texts), record.commands_version, "update"
        elif self._mode == "update":  # what the store has is not known: it gets everything with the next write
            self._fields, self._commands_version, self._mode = frozenset(), -1, "whole"
        return written


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def new_owner() -> str:
    """For a claim."""
    return secrets.token_hex(8)


def kept_session(owner: str, user_id: str, resume_token: str, fields: Mapping[str, str]) -> KeptSession:
    """From a record's fields."""
    head = Head(user_id, resume_token, float(fields["opened_at"]))
    texts = {name: text for name, text in fields.items() if name.startswith(TEXT)}
    record = Record(
        json.loads(fields["core"]),
        json.loads(fields["commands"]),
        texts={int(name[len(TEXT) :]): text for name, text in texts.items()},
    )
    lanes = {int(channel): carried for channel, carried in json.loads(fields["lanes"]).items()}
    return KeptSession(head, record, lanes, owner, frozenset(texts))
