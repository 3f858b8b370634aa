"""The load generator: so many sockets, each of which is spoken to.

To the gateway it is a well-behaved client: it gives credit back, and reports once a second what it played and what came. Reads its
`Load` as JSON from standard input, and says on standard output, a line of JSON each: `open`, `begin` and `end` of the measured
time, `done`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

from tests.bench.listeners.synthesiser import FRAME_BYTES, STAMP
from tests.bench.microphones.talkers import ACK_S, CHANNEL, END_TIMEOUT_S, Load, Talker, connect, tell

HEADER_BYTES = 16  # of the gateway's frames
SPREAD = 20  # reports of all sockets are spread over so many moments of a second


class Listener(Talker):
    """One socket. The peers' bare frames are told from the gateway's by `speaks_jarvis`."""

    path = "speech"

    def __init__(self, number: int, host: str, token: str | None) -> None:
        super().__init__(number, host, token)
        self.frames = self.gaps = 0
        self.ages_ms: list[float] = []
        self._given_back = 0
        self._began_at = 0.0  # playing

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode != 2:
            super()._frame(opcode, payload)
            return
        at = HEADER_BYTES if self.speaks_jarvis else 0
        if len(payload) - at != FRAME_BYTES:
            self.gaps += 1
            return
        self._began_at = self._began_at or time.monotonic()
        self.frames += 1
        self.ages_ms.append((time.monotonic_ns() - STAMP.unpack_from(payload, at)[0]) / 1e6)
        if self.speaks_jarvis:
            self._seen = max(self._seen, int.from_bytes(payload[8:12], "big"))

    def _event(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        self._seen = max(self._seen, event.get("seq", 0))
        if kind == "session.ready":
            self._say(
                {"type": "channel.open", "id": "c", "channel": CHANNEL, "kind": "tts", "params": {"text": "speak"}}
            )
            self.opened.set_result(None)
        elif kind == "ping":
            self._say({"type": "pong", "t": event["t"]})
        elif kind in {"error", "channel.closed"}:
            raise AssertionError(event)

    def begin(self) -> None:
        """A peer is asked to speak; the gateway was with the channel."""
        if not self.speaks_jarvis:
            self._say({"type": "speak", "text": "speak"})

    def report(self) -> None:
        """Credit, playback and acknowledgement. It plays in real time from the first frame on."""
        played_ms = min(self.frames * 40, round((time.monotonic() - self._began_at) * 1000))
        credit = played_ms // 40 - self._given_back
        if self.speaks_jarvis and self.frames and credit > 0:
            self._given_back += credit
            self._say({"type": "credit", "channel": CHANNEL, "bytes": credit * FRAME_BYTES})
            self._say({"type": "playback", "channel": CHANNEL, "played_ms": played_ms})
            self.acknowledge()

    def leave(self) -> None:
        """For good."""
        self._write(8, b"\x03\xe8")


async def report(listeners: list[Listener]) -> None:
    at = 0
    while True:
        await asyncio.sleep(ACK_S / SPREAD)
        for listener in listeners[at::SPREAD]:
            listener.report()
        at = (at + 1) % SPREAD


async def main(load: Load) -> None:
    listeners: list[Any] = await connect(load, Listener)
    for listener in listeners:
        listener.begin()
        await asyncio.sleep(0.04 / len(listeners))  # their frames do not come all at once
    tell("open")
    async with asyncio.TaskGroup() as tasks:
        reporting = tasks.create_task(report(listeners), name="reports")
        await asyncio.sleep(load.warm_s)
        for listener in listeners:
            listener.ages_ms.clear()
        before, began = sum(listener.frames for listener in listeners), time.monotonic()
        tell("begin")
        await asyncio.sleep(load.seconds)
        frames, seconds = sum(listener.frames for listener in listeners) - before, time.monotonic() - began
        ages_ms = sorted(age for listener in listeners for age in listener.ages_ms)
        tell(
            "end", frames=frames, seconds=seconds, ages_ms=[ages_ms[int(share * len(ages_ms))] for share in (0.5, 0.99)]
        )
        reporting.cancel()
    for listener in listeners:
        listener.leave()
    await asyncio.wait([listener.closed for listener in listeners], timeout=END_TIMEOUT_S)
    tell(
        "done",
        not_closed=sum(not listener.closed.done() for listener in listeners),
        gaps=sum(listener.gaps for listener in listeners),
        quiet=sum(not listener.frames for listener in listeners),
    )


if __name__ == "__main__":
    uvloop.run(main(Load(**json.loads(sys.stdin.readline()))))
