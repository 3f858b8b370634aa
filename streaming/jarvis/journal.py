"""Keeps a session's record in the replicas' shared store up to date: whatever a client may see is in it before it is sent.

A session record has these fields: `head` (the owner), `signed_out_by` (ids of its token), `core` (numbers, channels),
`commands`, `lanes` (what each lane needs to continue), and one field per message that the client has not acknowledged. Only
changes are written. Changes made during a write go with the next one, so a busy session costs one round trip at a time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from streaming.protocol.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

Written = Literal["kept", "lost", "taken", "superseded", "foreign"]
Unclaimed = Literal["ours", "unknown", "superseded", "unreachable"]
DECIDE = -1
TEXT = "t"  # prefix of a message's field, followed by its serial number
# The store must be unreachable for this long before a session continues without its record. After such a gap, replicas make old
# records unusable: after server.shared.store_epoch.GAP_S, which is shorter by one beat and some delay under load.
GO_AHEAD_S = 2.5
WRITE_AGAIN_S = 0.05
REFRESH_S = 20.0  # how often the record of a silent session is renewed, as records expire


@dataclass(frozen=True, slots=True)
class SessionHead:
    """The session's owner and current token. `opened_at`: Unix seconds. `signed_out_by`: as in Identity."""

    user_id: str
    resume_token: str
    opened_at: float
    epoch: str
    signed_out_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Writer:
    """The writer of a record. Each claim makes a new one with the next `term`. If a store lost the claim, the higher term wins."""

    name: str
    term: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What one write changes in a record.

    `whole`: `fields` are the complete record; otherwise the store has the rest, of version `builds_on`. `order`: the client uses the
    epoch with the highest order; 0: the client has not decided yet, DECIDE: it has just decided. `former`: the resume token
    under which the record was stored until now, if it changed.
    """

    fields: Mapping[str, str]
    gone: Sequence[str]
    whole: bool
    version: int
    builds_on: int
    order: int
    former: str = ""


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """The result of a write; `order`: the epoch's, as the store has it."""

    written: Written
    order: int = 0


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session as another replica left it. `lanes`: state of each channel's lane, None if it cannot continue."""

    head: SessionHead
    snapshot: Snapshot
    lanes: dict[int, dict[str, Any] | None]
    writer: Writer
    fields: frozenset[str]
    version: int
    order: int


class SessionStore(Protocol):
    """Where session records are kept."""

    @property
    def silent_s(self) -> float:
        """Seconds since the newest write that the store confirmed was sent."""

    async def write(self, session_id: str, writer: Writer, head: SessionHead, change: Change) -> WriteOutcome:
        """Set the changed fields and delete those that are gone.

        "taken": another replica has claimed the record. "superseded": the client has begun another epoch. "foreign": the session
        is another user's. "lost": the store lacks the rest of the record, or is unreachable.
        """

    async def claim(
        self, session_id: str, name: str, user_id: str, resume_token: str, mine: str
    ) -> Mapping[str, str] | Unclaimed:
        """Claim a record for the writer `name` and return its fields, `owner` being its writer so far, whose replica lets go.

        Otherwise nothing changes. "ours": the writer `mine` still has it (empty: there is none). "superseded": the client has begun
        another epoch since. "unknown": there is no record for this user and token, or the session was signed out. "unreachable": the store cannot tell.
        """

    async def forget(self, session_id: str, writer: Writer, resume_token: str) -> None:
        """Delete the record if it still belongs to the writer."""


class Journaled(Protocol):
    """A live session as seen by its journal."""

    @property
    def session_id(self) -> str:
        """The session's id."""

    @property
    def head(self) -> SessionHead:
        """The session's owner and token."""

    @property
    def connected(self) -> bool:
        """True if it has a socket."""

    @property
    def lost(self) -> bool:
        """True if it can no longer be resumed: it may have dropped what a record needs."""

    def save(self, commands_version: int) -> Snapshot:
        """Its current numbers and messages; its commands only if their version is no longer `commands_version`."""

    def save_lanes(self) -> dict[int, dict[str, Any] | None]:
        """What lanes need to continue elsewhere, by channel."""

    def on_refused(self, written: Written) -> None:
        """The record belongs to another writer now. Called once."""

    def on_unrecorded(self) -> None:
        """The store is unreachable: from now on the session can be resumed here only, and with a new token."""

    def on_recorded(self) -> None:
        """The record is complete again."""


class Journal:
    """Writes one session's record.

    Waiting for a write ends without one only after the store was unreachable for GO_AHEAD_S. Then `recorded` is False, and the
    session has been told.
    """

    def __init__(
        self,
        store: SessionStore,
        session: Journaled,
        group: asyncio.TaskGroup,
        saved: SavedSession | None = None,
    ) -> None:
        self._store = store
        self._session = session
        self._group = group
        self.writer = saved.writer if saved else Writer(new_writer())
        self._whole = saved is None
        self._anew = 0  # how often the whole record had to be written again
        self._version = self._kept_version = saved.version if saved else 0
        self._order = saved.order if saved else 0
        self._kept_as = saved.head.resume_token if saved else ""  # the token under which the record is stored
        self._failing_since: float | None = None
        self.recorded = True
        # Names of the message fields in the store.
        self._fields: frozenset[str] = saved.fields if saved else frozenset()
        self._commands_version = -1
        self._tokens: tuple[str, ...] | None = None  # as stored; None: unknown
        self._wanted = self._done = 0
        self._waiting: list[tuple[int, asyncio.Future[bool]]] = []
        self._clock = asyncio.get_running_loop().time
        self._written_at = 0.0
        self._running = False
        self._kept = False  # True if the newest write was stored
        self._forgotten = False
        self.stopped = False

    def changed(self) -> None:
        """Something changed: write soon."""
        if self.stopped:
            return
        self._wanted += 1
        if not self._running:
            self._begin()

    def _begin(self) -> None:
        work = self._write_all()
        try:
            self._group.create_task(work, name=f"record of {self._session.session_id}")
        except RuntimeError:  # the group has ended: this process shuts down, and its record stays as it is
            work.close()
            self.stop()
        else:
            self._running = True

    def decide(self) -> None:
        """The client uses this epoch: the next write makes the session's other epochs unusable."""
        if self._order == 0:
            self._order = DECIDE

    async def written(self) -> bool:
        """Wait until everything so far is stored, or need not be. False: the record belongs to another writer."""
        self.changed()
        if self.stopped:
            return self._forgotten
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._wanted, future))
        return await future

    def write_anew(self) -> None:
        """Write the whole record, because what the store has is unknown or no longer valid."""
        self._anew += 1
        self._forget_what_is_kept()
        self.changed()

    def _forget_what_is_kept(self) -> None:
        self._fields, self._commands_version, self._tokens, self._whole = frozenset(), -1, None, True

    async def settled(self, within_s: float) -> None:
        """Write until the record is stored, belongs to another writer, or the time is up."""
        give_up_at = self._clock() + within_s
        while await self.written() and not self._kept and self._clock() < give_up_at:  # noqa: ASYNC110 - only asking shows whether Redis is back
            await asyncio.sleep(WRITE_AGAIN_S)

    def refresh(self) -> None:
        """Renew the record of a silent session before it expires, and let it notice that the store is unreachable."""
        unnoticed = self.recorded and self._store.silent_s > GO_AHEAD_S
        if unnoticed or self._clock() - self._written_at > REFRESH_S:
            self.changed()

    def waive(self) -> None:
        """Let go on what waits for the record: nobody will resume from it."""
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_result(True)

    def stop(self) -> None:
        """Stop writing."""
        self.stopped = True
        self._wake(ours=False)

    async def forget(self) -> None:
        """The session has ended, or cannot be resumed any more: delete its record. Nothing waits for it now."""
        self.waive()
        self._forgotten = True
        self.stop()
        await self._store.forget(self._session.session_id, self.writer, self._session.head.resume_token)

    async def _write_all(self) -> None:
        while self._done < self._wanted and not self.stopped:
            if self._session.lost:
                await self.forget()
                break
            wanted = self._wanted
            written: Written
            flawed = False
            try:
                written = await self._write()
            except Exception:
                log.exception("the record of session %s could not be made", self._session.session_id)
                written, flawed = "lost", True
            if written == "lost" and not self.stopped and not flawed and not self._may_go_ahead():
                await asyncio.sleep(WRITE_AGAIN_S)
                continue
            self._done, self._kept = wanted, written == "kept"
            if written not in {"kept", "lost"} and not self.stopped:
                self.stop()
                self._session.on_refused(written)
            elif not self.stopped:
                self._note_whether_recorded()
            self._wake(ours=not self.stopped)
        self._running = False

    def _may_go_ahead(self) -> bool:
        """True if the store was unreachable, or refused this record, for GO_AHEAD_S."""
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        return min(GO_AHEAD_S - self._store.silent_s, self._failing_since + GO_AHEAD_S - now) <= 0

    def _note_whether_recorded(self) -> None:
        if self._kept:
            self._failing_since = None
        if self.recorded is not self._kept:
            self.recorded = self._kept
            if self._kept:
                self._session.on_recorded()
            else:
                self._session.on_unrecorded()

    def _wake(self, *, ours: bool) -> None:
        due = [future for wanted, future in self._waiting if not ours or wanted <= self._done]
        self._waiting = [(wanted, future) for wanted, future in self._waiting if ours and wanted > self._done]
        for future in due:
            if not future.done():
                future.set_result(ours)

    async def _write(self) -> Written:
        saved = self._session.save(self._commands_version)
        texts = {f"{TEXT}{serial}": text for serial, text in saved.texts.items()}
        changed = {name: text for name, text in texts.items() if name not in self._fields}
        changed["core"] = _json(saved.core)
        changed["lanes"] = _json(self._session.save_lanes())
        if saved.commands_version != self._commands_version:
            changed["commands"] = _json(saved.commands)
        gone = [name for name in self._fields if name not in texts]
        session = self._session
        tokens = session.head.signed_out_by
        if tokens != self._tokens:
            changed["signed_out_by"] = _json(tokens)
        self._written_at = self._clock()
        self._version += 1
        head, whole, anew = session.head, self._whole, self._anew
        former = self._kept_as if self._kept_as != head.resume_token else ""
        # Two epochs may have begun while the store was away. The abandoned one must not end the one that the client uses.
        order = 0 if self._order == DECIDE and not session.connected else self._order
        change = Change(changed, gone, whole, self._version, self._kept_version, order, former)
        receipt = await self._store.write(session.session_id, self.writer, head, change)
        written = receipt.written
        if written == "kept" and anew != self._anew:
            self._kept_as, self._kept_version = head.resume_token, change.version  # then write everything again
        elif written == "kept":
            self._kept_as = head.resume_token
            self._fields, self._commands_version, self._whole = frozenset(texts), saved.commands_version, False
            self._tokens = tokens
            self._kept_version = change.version
            if change.order:
                self._order = receipt.order
        else:
            self._forget_what_is_kept()
        return written


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def new_writer() -> str:
    """A random name for a writer."""
    return secrets.token_hex(8)


def saved_session(name: str, user_id: str, resume_token: str, fields: Mapping[str, str]) -> SavedSession:
    """Rebuild a session from its record's fields. Raises KeyError, ValueError for a record of another version."""
    head = SessionHead(user_id, resume_token, float(fields["opened_at"]), fields["epoch"])
    texts = {name: text for name, text in fields.items() if name.startswith(TEXT)}
    snapshot = Snapshot(
        json.loads(fields["core"]),
        json.loads(fields["commands"]),
        texts={int(name[len(TEXT) :]): text for name, text in texts.items()},
    )
    lanes = {int(channel): saved for channel, saved in json.loads(fields["lanes"]).items()}
    writer = Writer(name, int(fields["claims"]))
    return SavedSession(head, snapshot, lanes, writer, frozenset(texts), int(fields["version"]), int(fields["order"]))
