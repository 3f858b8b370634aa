"""Keeps a session's record in the store that replicas share up to date: whatever a client may see is in it before it leaves.

A session record has these fields: `head` (whose it is), `core` (numbers, channels), `commands`, `lanes` (what each lane needs
to continue), and one field for each message that the client has not acknowledged. Only what changed is written. Changes made
during a write go with the next one, so a busy session costs one round trip at a time.
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
Unclaimed = Literal["ours", "unknown", "superseded"]
DECIDE = -1
TEXT = "t"  # of the fields that hold a message: followed by its serial number
# So long the store has to be out of reach before a session goes on without its record. The replicas notice such a gap, and
# make old records unusable, after server.shared.store_epoch.GAP_S: earlier, by a beat and what load adds.
GO_AHEAD_S = 2.5
WRITE_AGAIN_S = 0.05
REFRESH_S = 20.0  # a record that is not written again ends; that of a silent session is renewed so often


@dataclass(frozen=True, slots=True)
class Head:
    """Whose session it is. `opened_at`: Unix seconds."""

    user_id: str
    resume_token: str
    opened_at: float
    epoch: str


@dataclass(frozen=True, slots=True)
class Writer:
    """Who may write a record: a claim makes a new one, of the next `term`. In a store that lost the claim the higher term wins."""

    name: str
    term: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What one write makes of a record.

    `whole`: `fields` are all of the record; else the store has the rest, of version `builds_on`. `order`: the higher one of a
    session's epochs is the one that its client uses; 0: the client has not decided, DECIDE: it has just decided.
    `former`: the resume token under which the record was kept until now, if that was another one.
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
    """How a write ended; `order` of the epoch, as the store has it."""

    written: Written
    order: int = 0


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session as another replica left it. `lanes`: what each channel's lane saved, None where it can't be continued."""

    head: Head
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
        """How long ago the newest write that the store confirmed was sent, in seconds."""

    async def write(self, session_id: str, writer: Writer, head: Head, change: Change) -> WriteOutcome:
        """Set the changed fields, delete those that are gone.

        "taken" when another replica has claimed the record, "superseded" when the client has begun another epoch, "foreign"
        when it is another user's, "lost" when the store does not have the rest, or could not be reached.
        """

    async def claim(
        self, session_id: str, name: str, user_id: str, resume_token: str, mine: str
    ) -> Mapping[str, str] | Unclaimed:
        """The record's fields; from now on the writer of that name writes it, and the replica that did lets go.

        Else nothing changes: "ours" when the writer named `mine` still has it (empty: there is none), "superseded" when the
        client has begun another epoch since, "unknown" when that user and token have no record, or none can be reached.
        """

    async def forget(self, session_id: str, writer: Writer, resume_token: str) -> None:
        """Delete the record, if it is still the writer's."""


class Journaled(Protocol):
    """A live session, as its journal sees it."""

    @property
    def session_id(self) -> str:
        """Its name."""

    @property
    def head(self) -> Head:
        """Whose it is."""

    @property
    def connected(self) -> bool:
        """Has it a socket?"""

    def save(self, commands_version: int) -> Snapshot:
        """Its numbers and messages now; its commands only when they are not of that version any more."""

    def save_lanes(self) -> dict[int, dict[str, Any] | None]:
        """What its lanes need to continue elsewhere, by channel."""

    def on_refused(self, written: Written) -> None:
        """The record has become another writer's: called once."""

    def on_unrecorded(self) -> None:
        """The store is out of reach: from now on the session can be resumed here only, and with a fresh token."""

    def on_recorded(self) -> None:
        """The record is whole again."""


class Journal:
    """Writes one session's record.

    Whoever waits for a write goes on without one only when the store was out of reach for GO_AHEAD_S, `recorded` is false
    then, and the session has been told.
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
        self._anew = 0  # counts the times that the store had to be told everything
        self._version = self._kept_version = saved.version if saved else 0
        self._order = saved.order if saved else 0
        self._kept_as = saved.head.resume_token if saved else ""  # the token under which the store has the record
        self._failing_since: float | None = None
        self.recorded = True
        self._fields: frozenset[str] = saved.fields if saved else frozenset()  # of messages, as the store has them
        self._commands_version = -1
        self._wanted = self._done = 0
        self._waiting: list[tuple[int, asyncio.Future[bool]]] = []
        self._clock = asyncio.get_running_loop().time
        self._written_at = 0.0
        self._running = False
        self._kept = False  # did the store keep the newest write?
        self.stopped = False

    def changed(self) -> None:
        """Something changed: write soon."""
        if self.stopped:
            return
        self._wanted += 1
        if not self._running:
            self._running = True
            self._group.create_task(self._write_all(), name=f"record of {self._session.session_id}")

    def decide(self) -> None:
        """The client uses this epoch: the next write makes the session's other ones unusable."""
        if self._order == 0:
            self._order = DECIDE

    async def written(self) -> bool:
        """Wait until everything up to now is kept, or can't be. False: the record is another writer's."""
        if self.stopped:
            return False
        self.changed()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._wanted, future))
        return await future

    def write_anew(self) -> None:
        """What the store has is not known, or does not count: it gets everything."""
        self._anew += 1
        self._forget_what_is_kept()
        self.changed()

    def _forget_what_is_kept(self) -> None:
        self._fields, self._commands_version, self._whole = frozenset(), -1, True

    async def settled(self, within_s: float) -> None:
        """Write until it is kept, or the record is another writer's, or the time is up."""
        give_up_at = self._clock() + within_s
        while await self.written() and not self._kept and self._clock() < give_up_at:  # noqa: ASYNC110 - only asking tells whether Redis is back
            await asyncio.sleep(WRITE_AGAIN_S)

    def refresh(self) -> None:
        """Renew the record of a silent session before it expires."""
        if self._clock() - self._written_at > REFRESH_S:
            self.changed()

    def stop(self) -> None:
        """Write nothing any more."""
        self.stopped = True
        self._wake(ours=False)

    async def forget(self) -> None:
        """The session is over: delete its record."""
        self.stop()
        await self._store.forget(self._session.session_id, self.writer, self._session.head.resume_token)

    async def _write_all(self) -> None:
        while self._done < self._wanted and not self.stopped:
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
        """Has the store been out of reach for long enough, or refused this record for as long?"""
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
        self._written_at = self._clock()
        self._version += 1
        head, whole, anew = session.head, self._whole, self._anew
        former = self._kept_as if self._kept_as != head.resume_token else ""
        # Two epochs may have begun while the store was away. The one that the client left must not end the one that it uses.
        order = 0 if self._order == DECIDE and not session.connected else self._order
        change = Change(changed, gone, whole, self._version, self._kept_version, order, former)
        receipt = await self._store.write(session.session_id, self.writer, head, change)
        written = receipt.written
        if written == "kept" and anew != self._anew:
            self._kept_as, self._kept_version = head.resume_token, change.version  # and then everything again
        elif written == "kept":
            self._kept_as = head.resume_token
            self._fields, self._commands_version, self._whole = frozenset(texts), saved.commands_version, False
            self._kept_version = change.version
            if change.order:
                self._order = receipt.order
        else:
            self._forget_what_is_kept()
        return written


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def new_writer() -> str:
    """A name for a claim."""
    return secrets.token_hex(8)


def saved_session(name: str, user_id: str, resume_token: str, fields: Mapping[str, str]) -> SavedSession:
    """A session from its record's fields. Raises KeyError, ValueError for what another version wrote."""
    head = Head(user_id, resume_token, float(fields["opened_at"]), fields["epoch"])
    texts = {name: text for name, text in fields.items() if name.startswith(TEXT)}
    snapshot = Snapshot(
        json.loads(fields["core"]),
        json.loads(fields["commands"]),
        texts={int(name[len(TEXT) :]): text for name, text in texts.items()},
    )
    lanes = {int(channel): carried for channel, carried in json.loads(fields["lanes"]).items()}
    writer = Writer(name, int(fields["claims"]))
    return SavedSession(head, snapshot, lanes, writer, frozenset(texts), int(fields["version"]), int(fields["order"]))
