"""A client and a server joined by a link that can be cut, which loses everything not delivered yet. Virtual time."""

from __future__ import annotations

import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any

from streaming.protocol import events, messages
from streaming.protocol.client import ClientConnection
from streaming.protocol.limits import ClientLimits, Limits
from streaming.protocol.server import ServerConnection
from streaming.protocol.snapshot import Snapshot

if TYPE_CHECKING:
    from streaming.protocol.client import ResumeBy
    from streaming.protocol.events import Event

TOKEN = "resume-token"


def ready(epoch: str, **fields: Any) -> messages.SessionReady:
    return messages.SessionReady(
        session_id="s1",
        epoch=epoch,
        resume_token=TOKEN,
        user=messages.User(user_id="u1", roles=("user",)),
        heartbeat_ms=20_000,
        resume_window_ms=60_000,
        limits={"channels": 16},
        services={"stt": "up"},
        **fields,
    )


def carried(record: Snapshot) -> Snapshot:
    """The snapshot as another replica reads it, after JSON."""
    core, commands, texts = json.loads(json.dumps([record.core, record.commands, record.texts]))
    return Snapshot(core, commands, record.commands_version, {int(serial): text for serial, text in texts.items()})


class Link:
    """`server_events` and `client_events` collect the events of each side. Messages are delivered one by one."""

    def __init__(self, limits: Limits | None = None, client_limits: ClientLimits | None = None) -> None:
        self.now = 100.0
        self.limits = limits or Limits()
        self.client = ClientConnection(self.now, client_limits or ClientLimits())
        self.server = ServerConnection("e1", self.now, self.limits)
        self.up: deque[str | bytes] = deque()
        self.down: deque[str | bytes] = deque()
        self.server_events: list[Event] = []
        self.client_events: list[Event] = []
        self.sockets = 0

    # --- sockets ---

    def connect(self, resume: ResumeBy | None = None, needed_frames: dict[int, int] | None = None) -> Link:
        """Open a new socket. With `resume`, resume the session as a handler would."""
        self.sockets += 1
        last_seq = self.client.last_seq
        self.client.attach(self.now, resume)
        if resume == "message":
            self._connect_by_message()
        elif resume == "url":
            if not self.server.resume(last_seq, self.now, needed_frames):
                self.renew(resume_error="INCOMPLETE")
        elif self.sockets == 1:
            self.server.attach(self.now)
            self.server.send_message(ready("e1"))
        else:
            self.renew()
        return self

    def renew(self, **fields: Any) -> None:
        epoch = f"e{self.sockets}"
        self.server = ServerConnection(epoch, self.now, self.limits)
        self.server.attach(self.now)
        self.server.send_message(ready(epoch, **fields))

    def _connect_by_message(self) -> None:
        fresh = ServerConnection(f"e{self.sockets}", self.now, self.limits)
        fresh.attach(self.now)
        fresh.send_message(ready(fresh.epoch))
        (asked,) = self.client.data_to_send()
        assert isinstance(asked, str)
        (event,) = fresh.receive_text(asked, self.now)
        assert isinstance(event, events.ResumeRequested)
        assert event.resume_token == TOKEN
        self.down.extend(fresh.data_to_send(self.now))
        if not self.server.resume(event.last_seq, self.now):
            fresh.send_message(ready(fresh.epoch, resume_error="INCOMPLETE"))
            self.server = fresh

    def cut(self) -> Link:
        """Close the socket at both ends, and lose everything in flight."""
        self.up.clear()
        self.down.clear()
        self.server.detach(self.now)
        self.client.detach()
        return self

    # --- moving messages ---

    def write(self) -> None:
        """Let both ends write."""
        self.up.extend(self.client.data_to_send())
        self.down.extend(self.server.data_to_send(self.now))

    def deliver_up(self) -> list[Event]:
        data = self.up.popleft()
        receive = self.server.receive_text if isinstance(data, str) else self.server.receive_binary
        told = receive(data, self.now)  # type: ignore[arg-type]
        self.server_events += told
        return told

    def deliver_down(self) -> list[Event]:
        data = self.down.popleft()
        receive = self.client.receive_text if isinstance(data, str) else self.client.receive_binary
        told = receive(data, self.now)  # type: ignore[arg-type]
        self.client_events += told
        return told

    def settle(self) -> Link:
        """Deliver until neither side has anything to send."""
        self.write()
        while self.up or self.down:
            while self.up:
                self.deliver_up()
            while self.down:
                self.deliver_down()
            self.write()
        return self

    def wait(self, seconds: float) -> Link:
        """Let time pass, with a `handle_timeout` at every deadline."""
        end = self.now + seconds
        while True:
            deadlines = [at for at in (self.server.next_deadline(), self.client.next_deadline()) if at is not None]
            self.now = min([end, *(max(self.now, at) for at in deadlines)])
            self.server_events += self.server.handle_timeout(self.now)
            self.client_events += self.client.handle_timeout(self.now)
            self.settle()
            if self.now >= end:
                return self

    # --- events ---

    def messages(self) -> list[Any]:
        """The messages that the client received, without sequence numbers."""
        return [event.message for event in self.client_events if isinstance(event, events.MessageReceived)]

    def view(self) -> list[Any]:
        """The session as the client saw it: numbered messages and audio, in order."""
        seen: list[Any] = []
        for event in self.client_events:
            if isinstance(event, events.MessageReceived) and event.seq is not None:
                seen.append(event.message)
            elif isinstance(event, events.AudioReceived):
                seen.append((event.channel, event.generation, event.pts_ms, event.payload, event.last))
        return seen


_STEP = re.compile(r"^(>>|<<)\s*(.*)$")


def talk(server: ServerConnection, script: str, now: float = 100.0) -> list[Event]:
    """Run a script: `>> text` is sent to the server, `<< text` must be its next message (including numbers). Returns all events."""
    told: list[Event] = []
    written: deque[str | bytes] = deque()
    for line in filter(None, map(str.strip, script.splitlines())):
        step = _STEP.match(line)
        assert step, line
        if step[1] == ">>":
            told += server.receive_text(step[2], now)
        else:
            written.extend(server.data_to_send(now))
            said = written.popleft() if written else "nothing"
            assert said == step[2]
    assert [*written, *server.data_to_send(now)] == []
    return told
