"""`idle_timeout_ms`: if nobody has spoken since the last reply was heard, the agent asks whether anybody is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from streaming.openai.conversation import new_id
from streaming.openai.hearing import commit_item

if TYPE_CHECKING:
    import asyncio

    from streaming.openai.host import Host
    from streaming.openai.microphones import Microphones
    from streaming.openai.replies import Replies

    class IdleHost(Host, Protocol):
        """The session, as seen by `IdleWatch`."""

        microphones: Microphones
        replies: Replies

        @property
        def connected(self) -> bool:
            """True if a client is listening."""


STILL_THERE = "Are you still there?"


class IdleWatch:
    """One timer, from the end of a reply's audio until somebody speaks or another reply begins."""

    def __init__(self, host: IdleHost, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._from_ms = 0.0  # position in the audio of the input buffer

    def start(self) -> None:
        """The last reply was heard: start the timer."""
        self.stop()
        detection = self._host.settings["audio"]["input"].get("turn_detection") or {}
        timeout_ms = detection.get("idle_timeout_ms")
        if timeout_ms is not None and self._host.settings["type"] == "realtime":
            self._from_ms = self._host.microphones.fed_ms
            self._timer = self._loop.call_later(timeout_ms / 1000, self._fire)

    def stop(self) -> None:
        """Somebody speaks, or the setting has changed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        host = self._host
        if not host.connected or host.replies.busy:
            return
        item_id = new_id("item")
        host.event_queue.say(
            {
                "type": "input_audio_buffer.timeout_triggered",
                "audio_start_ms": round(self._from_ms),
                "audio_end_ms": round(host.microphones.fed_ms),
                "item_id": item_id,
            }
        )
        entry = commit_item(host, item_id)
        entry.awaited, entry.answered = False, True  # the item is silence
        host.replies.say_aloud(STILL_THERE, counts=False)
        host.wake()
