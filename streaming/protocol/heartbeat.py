"""Is a silent client still there? It is asked after one heartbeat of silence, and given up after two (PROTOCOL.md, section 2)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from streaming.protocol.events import PeerSilent
from streaming.protocol.messages import Pong, ServerPing
from streaming.protocol.sendqueue import serialise

if TYPE_CHECKING:
    from streaming.protocol.microphone import MicrophoneGate
    from streaming.protocol.outbox import Outbox

PING = '{"type":"ping","t":'


@lru_cache(maxsize=1)
def _ping_and_pong(t: int) -> tuple[str, str]:
    """A ping and its answer. Sessions that are asked at the same time share both."""
    return serialise(ServerPing(t=t)), serialise(Pong(t=t))


def is_heartbeat(text: str) -> bool:
    """True for a ping of a silent client, which says nothing of the session. Pings for receipts and notices have negative `t`."""
    return text.startswith(PING) and not text.startswith("-", len(PING))


class Heartbeat:
    """The heartbeat of one session with a socket. Times are monotonic seconds."""

    __slots__ = ("_every_s", "_gate", "_pinged_for", "_pong", "_silent_for")

    def __init__(self, gate: MicrophoneGate, every_s: float) -> None:
        """`gate` knows when the client was heard last."""
        self._gate = gate
        self._every_s = every_s
        self._pinged_for = self._silent_for = -1.0  # the `heard_at` that the last ping or PeerSilent was about
        self._pong = ""  # the answer to the last ping

    @property
    def deadline(self) -> float | None:
        """When `look` is due; None if never."""
        heard_at = self._gate.heard_at
        if self._silent_for == heard_at:
            return None
        beats = 2 if self._pinged_for == heard_at else 1
        return heard_at + beats * self._every_s

    def ping(self, now: float) -> str | None:
        """The ping of a client that was silent for one heartbeat, if it was not asked yet. It has to be sent now."""
        heard_at = self._gate.heard_at
        if self._pinged_for == heard_at or now < heard_at + self._every_s:
            return None
        self._pinged_for = heard_at
        ping, self._pong = _ping_and_pong(round(now * 1000))
        return ping

    def look(self, now: float, out: Outbox) -> None:
        """Ask a silent client, or give it up by an event, if that is due."""
        ping, deadline = self.ping(now), self.deadline
        if ping is not None:
            out.put_text_for_socket(ping)
        elif deadline is not None and now >= deadline:
            self._silent_for = self._gate.heard_at
            out.events.append(PeerSilent(now - self._silent_for))

    def answered(self, text: str, now: float) -> bool:
        """Take the answer to the ping, if it is the first sign of life since: nearly all that an idle client sends.

        One space behind each colon and comma does not matter. False: it is something else, or spelt otherwise, and nothing was done.
        """
        if self._pinged_for != self._gate.heard_at:
            return False
        # Behind these two only: spaces in a name or a number make another message of it, or none.
        if text != self._pong and text.replace(": ", ":").replace(", ", ",") != self._pong:
            return False
        self._gate.heard_at = now
        return True
