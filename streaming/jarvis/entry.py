"""A socket's way to its session, and the messages of a socket without one."""

from __future__ import annotations

import asyncio
from copy import copy
from typing import TYPE_CHECKING

from streaming.jarvis.live import OVERTAKEN, LiveSession
from streaming.jarvis.registry import Resume
from streaming.protocol import events, inbound
from streaming.protocol.close_codes import CLOSE_CODES, CloseCode
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.heartbeat import is_heartbeat
from streaming.protocol.limits import Limits
from streaming.protocol.messages import Auth, Error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming.jarvis.registry import Claimed, Sessions
    from streaming.jarvis.socket import Socket
    from streaming.ports import Identity
    from streaming.traffic import Traffic

__all__ = ["Attachment", "CloseCode", "RefusedError", "enter", "farewell", "farewell_of", "first_token"]

SUBPROTOCOL = "jarvis.v1"
MAX_HELD = 16  # messages a client may send while it waits for the answer to `session.resume`


class RefusedError(Exception):
    """The socket is refused: close it with this code. `reason`: label of the metric."""

    def __init__(self, close_code: CloseCode, message: str, reason: str) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.message = message
        self.reason = reason


def farewell(code: CloseCode, message: str) -> str:
    """The `error` message before a close. Browsers see little else of the reason."""
    return Error(code=code.error, message=message, retryable=code.reconnect).model_dump_json(exclude_none=True)


def farewell_of(code: int, message: str) -> str:
    """The same for a close code chosen by the socket itself; `message` may be empty."""
    known = CLOSE_CODES[code]
    return farewell(known, message or known.meaning)


def first_token(message: str | bytes) -> str:
    """The token in a first `auth` message, which is read like every other: a stranger's above all. Raises RefusedError."""
    try:
        first = inbound.validate(inbound.parse(message, Limits())) if isinstance(message, str) else None
    except RemoteProtocolError:
        first = None
    if not isinstance(first, Auth):
        raise RefusedError(CloseCode.BAD_TOKEN, "the first message has to be auth with a token", "malformed")
    return first.token


def enter(
    sessions: Sessions,
    session_id: str,
    identity: Identity,
    socket: Socket,
    asked: Resume | None,
    saved: Claimed = None,
    *,
    recording: bool = False,
) -> Attachment:
    """Connect a socket to its session, replacing its previous socket.

    Raises ForbiddenError for another user's session, RefusedError if another socket of the client has claimed it meanwhile.

    `asked`: a resume request in the handshake, and `saved` what `Sessions.claim` found for it. Otherwise, the first message may
    still be `session.resume`. `recording`: the client consents to a recording.
    """
    if asked is not None and sessions.overtaken(session_id, identity, asked, saved):
        raise RefusedError(*OVERTAKEN, "overtaken")
    here = sessions.present(session_id, identity)
    if here is not None:
        here.give_way()
    if asked is None:
        live = sessions.begin(session_id, identity, socket, recording=recording)
        sessions.greet(live, None)
        return Attachment(sessions, socket, live, undecided=True)
    outcome = sessions.resume(session_id, identity, asked, socket, saved, recording=recording)
    if isinstance(outcome, LiveSession):
        return Attachment(sessions, socket, outcome)
    live = sessions.begin(session_id, identity, socket, recording=recording)
    sessions.greet(live, outcome)
    return Attachment(sessions, socket, live, undecided=True)


class Attachment:
    """One socket and its session."""

    def __init__(
        self,
        sessions: Sessions,
        socket: Socket,
        live: LiveSession,
        *,
        undecided: bool = False,
    ) -> None:
        self._sessions = sessions
        self._socket = socket
        # True until the first message, which may be `session.resume`. After a resume that failed too: the client may have left
        # it unanswered, and be somewhere else.
        self._undecided = undecided
        self._greeting: list[str | bytes] | None = None  # of a session just restored from its record
        self._held: list[str | bytes] | None = None  # messages that arrive while the store is asked for the session
        self.live = live
        self._traffic_before = copy(live.traffic)

    # --- in ---

    def hear(self, data: str | bytes) -> bool:
        """Take a microphone frame or the answer to a heartbeat that came alone: the hot path. False: nothing was done, so call `feed`."""
        live = self.live
        if self._undecided or self._held is not None or live.socket is not self._socket or live.leaving:
            return False
        return live.hear(data) if type(data) is bytes else live.hear_pong(str(data))

    def heard(self) -> None:
        """Something came of the client that is no message, or only a part of one."""
        if self.live.socket is self._socket:
            self.live.connection.heard(asyncio.get_running_loop().time())

    def feed(self, messages: Iterable[str | bytes], arrived_at: float | None = None) -> None:
        """Handle messages and frames of the client in order. Ends the socket if one breaks the protocol.

        `arrived_at`: when they were read, if they have waited since; on the loop's clock.
        """
        only_audio = True
        try:
            for data in messages:
                live = self.live
                if live.leaving or live.socket is not self._socket:
                    return  # from here on, the data is for another socket's session
                if self._held is not None:
                    self._hold(data)
                elif type(data) is not bytes or self._undecided or not live.hear(data):
                    self._take(live, data, arrived_at)
                    only_audio = False
        except RemoteProtocolError as broken:
            self._socket.end(broken.close_code, broken.message)
            return
        if not only_audio:
            self.live.wake()

    def _take(self, live: LiveSession, data: str | bytes, arrived_at: float | None) -> None:
        for event in live.receive(data, arrived_at):
            if type(event) is events.ResumeRequested:
                self._on_resume(Resume(event.resume_token, event.last_seq))
                return
            if type(event) is events.ResumeRefused:
                self._on_resume_refused(event)
                return
            live.handle(event)
        if self._undecided:
            self._begin_anew()

    def _hold(self, data: str | bytes) -> None:
        """Keep data while the store looks up the session. Clients should send nothing then (PROTOCOL.md, section 2)."""
        assert self._held is not None, "the caller has looked"
        if len(self._held) >= MAX_HELD:
            raise RemoteProtocolError(CloseCode.TOO_MANY_MESSAGES, "wait for the answer to `session.resume`")
        self._held.append(data)

    # --- the first message decides ---

    def _on_resume(self, asked: Resume) -> None:
        self._undecided = False
        if self._sessions.shared:
            self._held = []
            self._sessions.group.create_task(self._ask(asked), name="session of another replica")
        else:
            self._resume(asked, None)

    def _on_resume_refused(self, refused: events.ResumeRefused) -> None:
        """Answer as for an unknown token, because the client waits for `session.ready` or `session.resumed`.

        Its old session is left alone: the next message decides.
        """
        self._sessions.greet(self.live, "NOT_FOUND")
        self.live.send(Error(id=refused.id, code=refused.code, message=refused.message))

    async def _ask(self, asked: Resume) -> None:
        saved = await self._sessions.claim(self.live.session_id, self.live.identity, asked)
        held, self._held = self._held or [], None
        live = self.live
        if live.socket is not self._socket:
            return  # the socket has closed in the meantime
        if self._sessions.overtaken(live.session_id, live.identity, asked, saved):
            live.end_socket(*OVERTAKEN)
            live.lost = True
            return
        self._resume(asked, saved)
        self.feed(held)

    def _resume(self, asked: Resume, saved: Claimed) -> None:
        """Continue the requested epoch instead of the fresh one, or tell the client why not."""
        fresh = self.live
        outcome = self._sessions.resume(
            fresh.session_id, fresh.identity, asked, self._socket, saved, recording=fresh.recording
        )
        if isinstance(outcome, LiveSession):
            fresh.detach(self._socket)
            fresh.lost = True
            if fresh.journal is not None:
                fresh.journal.waive()  # the answer to `session.resume` must not wait behind the record of a session that is not used
            self.live, self._traffic_before = outcome, copy(outcome.traffic)
        else:
            self._undecided = True
            self._sessions.greet(fresh, outcome)

    def _begin_anew(self) -> None:
        """The first message was not a resume: end the client's earlier epoch, here and at other replicas."""
        self._undecided = False
        if self.live.socket is self._socket:  # otherwise another socket has the session, and decides
            self._sessions.decide(self.live)

    # --- out ---

    def data_to_send(self) -> list[str | bytes]:
        """The data to send now; none if another socket has the session."""
        live = self.live
        if live.socket is not self._socket:
            return []
        if not live.as_recorded:
            return live.data_to_send()
        live.as_recorded = False
        self._greeting = live.data_to_send(max_bytes=0)
        asyncio.get_running_loop().call_soon(self._socket.wake)  # for the rest
        return self._greeting

    def must_be_saved(self, batch: list[str | bytes]) -> bool:
        """True if the session record must hold the batch before it is sent: unless it is only audio, or says only what the record does.

        A heartbeat says nothing: else each would write the record of each idle session.
        """
        return (
            batch is not self._greeting
            and self.live.journal is not None
            and not all(type(item) is bytes or is_heartbeat(str(item)) for item in batch)
        )

    async def saved(self, batch: list[str | bytes]) -> list[str | bytes]:
        """Wait until the record holds the batch; returns what to send: nothing if another replica has the session."""
        live = self.live
        if live.journal is None or await live.journal.written():
            if live.resume_notices.unsent:
                self._show([*live.resume_notices.unsent])
            return live.resume_notices.ahead_of(batch)
        return []

    def said(self, text: str) -> None:
        """The `error` before the close was written, behind all batches."""
        self._show([text])

    def _show(self, texts: list[str | bytes]) -> None:
        """Show those who watch what was in no batch of the session."""
        for tap in self.live.taps:
            tap.sent(texts, asyncio.get_running_loop().time())

    @property
    def traffic(self) -> Traffic:
        """Traffic since this socket took the session."""
        return self.live.traffic.since(self._traffic_before)

    def closed(self, *, for_good: bool) -> None:
        """The socket is gone. `for_good`: the client closed normally and will not return."""
        self.live.detach(self._socket)
        if for_good and self.live.socket is None:
            self.live.lose()
