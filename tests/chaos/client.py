"""A client of `jarvis.v1`, written only from PROTOCOL.md. It keeps a history and records every violation of that document."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.chaos.wire import Address, RefusedHandshakeError, Wire, connect

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

HEADER = struct.Struct(">BBHIII")
OF_THE_SOCKET = {
    "session.ready",
    "session.resumed",
    "session.draining",
    "session.resumable",
    "auth.ok",
    "auth.expiring",
    "ack",
    "ping",
    "pong",
}
TRY_AGAIN_S = 0.05
LONG_AWAY_S = 1.0  # the way back is noted when it took longer
PARTS = ("dialled", "connected", "upgraded", "answered", "first message")
"""Of a way back: from the cut to the (last) attempt, the TCP connection, the 101, `session.resumed`, the next numbered message."""
ACK_EVERY = 32
CONNECT_S = 5.0
CREDIT_BYTES = 16_384
REPORT_MS = 200
LAST = 1  # flag of an utterance's last frame


@dataclass
class Microphone:
    """Frames of one channel: the ones the server may ask for again, and how much it may be sent."""

    credit: int = 0
    next_number: int = 0
    sent_up_to: int = 0  # frames before it have left on this socket
    paid_up_to: int = 0  # frames before it have cost credit
    frames: deque[tuple[int, int, bytes]] = field(default_factory=deque)  # number, flags, payload


@dataclass
class Channel:
    """What came on one channel. `audio`: payloads by generation and position."""

    number: int
    kind: str
    events: list[dict[str, Any]] = field(default_factory=list)
    audio: dict[int, dict[int, bytes]] = field(default_factory=dict)
    closed: asyncio.Future[dict[str, Any]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    plays: bool = True
    owed_bytes: int = 0  # credit to be given back
    told_ms: int = 0  # how much was played, as the server was told
    newest_pts: dict[int, int] = field(default_factory=dict)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Its events of that type."""
        return [event for event in self.events if event["type"] == kind]


class LostError(Exception):
    """The server said that the session could not be resumed."""


class Client:
    """One session. `token` makes a fresh one, `by`: how it resumes, "url" or "message"."""

    def __init__(self, url: str, token: Callable[[], str], session_id: str, by: str, dice: random.Random) -> None:
        self.url, self.session_id, self.by = url, session_id, by
        self.violations: list[str] = []
        self.resumes: list[float] = []  # seconds from the cut to `session.resumed`
        self.parts: dict[str, list[float]] = {name: [] for name in PARTS}  # seconds of each way back
        self.slow: list[str] = []  # the ways back that took longer than LONG_AWAY_S, step by step
        self.lost: list[str] = []  # resume errors, as told
        self.codes: list[int] = []  # close codes met
        self.messages = 0
        self.moves = 0
        self.channels: dict[int, Channel] = {}
        self._dice = dice
        self._token = token
        self._epoch = self._resume_token = ""
        self._last_seq = self._out_seq = self._acked_out = 0
        self._unacked: deque[tuple[int, str]] = deque()
        self._since_ack = 0
        self._microphones: dict[int, Microphone] = {}
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._answered: dict[str, int] = {}
        self._command_seq: dict[str, int] = {}  # of commands whose answer came
        self._next_channel = 1
        self._next_id = 0
        self._socket: Wire | None = None
        self._resumed = False
        self._cut_at = self._dialled_at = self._resumed_at = 0.0
        self._steps: list[str] = []  # of the way back, each with the seconds since the cut
        self._stopping = False
        self.ready = asyncio.Event()

    # --- life ---

    async def run(self) -> None:
        """Stay connected until `stop`."""
        while not self._stopping:
            self._dialled_at = time.monotonic()
            socket = await self._connect()
            if socket is None:
                await asyncio.sleep(TRY_AGAIN_S + self._dice.random() * TRY_AGAIN_S)
                continue
            self._note("socket")
            self._socket, self._resumed = socket, False
            asking = bool(self._resume_token)
            if asking and self.by == "message":
                self._write({"type": "session.resume", "resume_token": self._resume_token, "last_seq": self._last_seq})
            while (data := await socket.read()) is not None:
                if self._socket is not socket:
                    break
                self._receive(data)
            if socket.flaw:
                self.violations.append(socket.flaw)
            if self._socket is socket:
                self._gone(socket.close_code)

    async def _connect(self) -> Wire | None:
        query = (
            f"?resume={self._resume_token}&last_seq={self._last_seq}" if self._resume_token and self.by == "url" else ""
        )
        host, port = self.url.removeprefix("ws://").split(":")
        address = Address(host, int(port), f"/ws/{self.session_id}{query}", self._token())
        try:
            return await connect(address, CONNECT_S)
        except TimeoutError:
            self._note("no answer")
        except RefusedHandshakeError as refused:
            self._note(str(refused))
        except OSError as failed:
            self._note(type(failed).__name__)
        return None

    def _note(self, step: str) -> None:
        """One step of the way back."""
        self._steps.append(f"{time.monotonic() - self._cut_at:.2f} {step}")

    def _gone(self, code: int | None) -> None:
        self._socket = None
        self.ready.clear()
        if not self._cut_at:
            self._cut_at = time.monotonic()
            self._steps.clear()
        self._note(f"closed {code}")
        if code is not None:
            self.codes.append(code)
            if not self._stopping and (code >= 4500 or code in {1000, 1002, 1003, 1007, 1008, 1009}):
                self.violations.append(f"closed {code}: do not reconnect; {self._steps}")

    def cut(self, *, half_a_frame: bool = False) -> None:
        """The network fails; `half_a_frame`: in the middle of one."""
        if self._socket is None:
            return
        self._socket.cut(half_a_frame=half_a_frame)
        self._gone(None)

    @property
    def connected(self) -> bool:
        """Does it speak for its session?"""
        return self._socket is not None and self._resumed

    @property
    def unsent(self) -> int:
        """Commands that the server has not acknowledged."""
        return len(self._unacked)

    def stop(self) -> None:
        """Say goodbye."""
        self._stopping = True
        if self._socket is not None:
            self._socket.close()

    # --- what the work does ---

    def command(self, message: dict[str, Any]) -> None:
        """A numbered command, kept until the server acknowledges it."""
        self._out_seq += 1
        text = json.dumps({**message, "seq": self._out_seq})
        if "id" in message:
            self._command_seq[message["id"]] = self._out_seq
        self._unacked.append((self._out_seq, text))
        if self._socket is not None and self._resumed:
            self._write_text(text)

    async def call(self, op: str, **params: Any) -> dict[str, Any]:
        """`result` or `error`. Raises LostError."""
        command_id = self.new_id()
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[command_id] = answer
        self.command({"type": "call", "id": command_id, "op": op, "params": params})
        return await answer

    def confirm(self, confirmation_id: str) -> None:
        """Approve."""
        self.command({"type": "task.confirm", "id": self.new_id(), "confirmation_id": confirmation_id, "approve": True})

    def new_id(self) -> str:
        """Never used before."""
        self._next_id += 1
        return f"{self.session_id}-{self._next_id}"

    def open(self, kind: str, *, plays: bool = True, **params: Any) -> Channel:
        """A channel."""
        number, self._next_channel = self._next_channel, self._next_channel + 2
        channel = self.channels[number] = Channel(number, kind, plays=plays)
        self._microphones[number] = Microphone()
        self.command({"type": "channel.open", "id": self.new_id(), "channel": number, "kind": kind, "params": params})
        return channel

    def say(self, channel: Channel, payload: bytes, *, last: bool = False) -> None:
        """A microphone frame, sent when credit allows; none on a channel that has ended."""
        if channel.closed.done():
            return
        microphone = self._microphones[channel.number]
        microphone.frames.append((microphone.next_number, 1 if last else 0, payload))
        microphone.next_number += 1
        self._send_frames(channel.number)

    def frames_of(self, channel: Channel) -> str:
        """How far its microphone is, for people."""
        microphone = self._microphones.get(channel.number, Microphone())
        return f"{microphone.sent_up_to} of {microphone.next_number} frames sent, {len(microphone.frames)} kept, {microphone.credit} bytes of credit"

    def _send_frames(self, number: int) -> None:
        microphone = self._microphones[number]
        if self._socket is None or not self._resumed:
            return
        for frame, flags, payload in microphone.frames:
            if frame < microphone.sent_up_to:
                continue
            if frame >= microphone.paid_up_to:
                if microphone.credit < len(payload) or not self.channels[number].events:
                    return
                microphone.credit -= len(payload)
                microphone.paid_up_to = frame + 1
            self._write_bytes(HEADER.pack(1, flags, number, 0, frame, frame * 20) + payload)
            microphone.sent_up_to = frame + 1

    # --- what comes ---

    def _receive(self, data: str | bytes) -> None:
        self.messages += 1
        if isinstance(data, bytes):
            self._on_audio(data)
            return
        message = json.loads(data)
        kind = message["type"]
        if kind in OF_THE_SOCKET:
            self._on_socket_message(kind, message)
        elif "seq" in message:
            self._count(message["seq"], kind)
            self._on_event(kind, message)
        self._acknowledge()

    def _count(self, seq: int, what: str) -> None:
        if seq != self._last_seq + 1:
            self.violations.append(f"{what} has number {seq} behind {self._last_seq}")
        self._last_seq = seq
        self._since_ack += 1
        if self._resumed_at:
            self.parts["first message"].append(time.monotonic() - self._resumed_at)
            self._resumed_at = 0.0

    def _acknowledge(self, *, at_once: bool = False) -> None:
        if self._since_ack >= ACK_EVERY or (at_once and self._since_ack):
            self._since_ack = 0
            self._write({"type": "ack", "seq": self._last_seq})

    def _on_socket_message(self, kind: str, message: dict[str, Any]) -> None:
        if kind == "ping":
            self._write({"type": "pong", "t": message["t"]})
        elif kind == "ack":
            while self._unacked and self._unacked[0][0] <= message["seq"]:
                self._unacked.popleft()
        elif kind == "auth.expiring":
            self._write({"type": "auth.refresh", "token": self._token()})
        elif kind == "session.ready":
            if self._resume_token and self.by == "message" and "resume_error" not in message:
                return  # the server has not read `session.resume` yet
            self._begin(message)
        elif kind == "session.resumed":
            self._on_resumed(message)
        elif kind == "session.resumable" and self._resumed:
            self._resume_token = message["resume_token"]

    def _begin(self, message: dict[str, Any]) -> None:
        """A new epoch: what was under way in the one before is lost, and told so."""
        if self._epoch:
            self.lost.append(message.get("resume_error") or "none told")
            if "resume_error" not in message:
                self.violations.append("a new epoch without resume_error")
        self._epoch, self._resume_token = message["epoch"], message["resume_token"]
        self._last_seq = self._out_seq = self._since_ack = 0
        self._cut_at = 0.0
        self._next_channel = 1
        self._unacked.clear()
        self._microphones.clear()
        self._command_seq.clear()
        lost = LostError(self.lost[-1] if self.lost else "")
        waiting = [*self._answers.values(), *(channel.closed for channel in self.channels.values())]
        self._answers, self.channels = {}, {}
        for future in waiting:
            if not future.done():
                future.set_exception(lost)
                future.exception()
        self._resumed = True
        self.ready.set()

    def _on_resumed(self, message: dict[str, Any]) -> None:
        self.moves += 1
        if message["epoch"] != self._epoch:
            self.violations.append("resumed in another epoch")
        answered = max((self._command_seq.get(name, 0) for name in self._answered), default=0)
        if message["taken_seq"] < max(answered, self._acked_out):
            self.violations.append(
                f"recovered untruly: taken_seq {message['taken_seq']}, though command {answered} was answered"
            )
        while self._unacked and self._unacked[0][0] <= message["taken_seq"]:
            self._unacked.popleft()
        if self._cut_at:
            now = time.monotonic()
            away_s = now - self._cut_at
            self.resumes.append(away_s)
            self._note_parts(now)
            if away_s > LONG_AWAY_S:
                self._note("resumed")
                self.slow.append(f"{away_s:.2f} s by {self.by}: {', '.join(self._steps)}")
            self._cut_at = 0.0
        self._resumed = True
        for _, text in self._unacked:
            self._write_text(text)
        wanted = {int(number): frame for number, frame in message["channels"].items()}
        for number, microphone in self._microphones.items():
            start = wanted.get(number, microphone.sent_up_to)  # unlisted: not opened yet, or closed
            while microphone.frames and microphone.frames[0][0] < start:
                microphone.frames.popleft()
            if microphone.frames and microphone.frames[0][0] > start and number in wanted:
                self.violations.append(f"frame {start} is asked for again, after leave to forget it")
            microphone.sent_up_to = start
            self._send_frames(number)
        self.ready.set()

    def _note_parts(self, now: float) -> None:
        socket = self._socket
        assert socket is not None, "it has just answered"
        moments = (self._cut_at, self._dialled_at, socket.connected_at, socket.opened_at, now)
        for name, before, after in zip(PARTS, moments, moments[1:], strict=False):
            self.parts[name].append(after - before)
        self._resumed_at = now

    def _on_event(self, kind: str, message: dict[str, Any]) -> None:
        if kind in {"result", "error"} and message.get("id") is not None:
            self._answered[message["id"]] = self._answered.get(message["id"], 0) + 1
            if self._answered[message["id"]] > 1:
                self.violations.append(f"{message['id']} was answered twice")
            answer = self._answers.pop(message["id"], None)
            if answer is not None and not answer.done():
                answer.set_result(message)
        channel = self.channels.get(message.get("channel", 0))
        if channel is None:
            return
        if channel.closed.done():
            self.violations.append(f"{kind} behind channel.closed")
        channel.events.append(message)
        if kind in {"channel.opened", "credit"}:
            self._on_credit(kind, message)
        elif kind == "channel.closed":
            if not channel.closed.done():
                channel.closed.set_result(message)
            self._microphones.pop(channel.number, None)

    def _on_credit(self, kind: str, message: dict[str, Any]) -> None:
        number = message["channel"]
        microphone = self._microphones.get(number)
        if microphone is None:
            return
        microphone.credit += message["credit" if kind == "channel.opened" else "bytes"]
        if "next_frame" in message:
            while microphone.frames and microphone.frames[0][0] < min(message["next_frame"], microphone.sent_up_to):
                microphone.frames.popleft()
        self._send_frames(number)

    def _on_audio(self, data: bytes) -> None:
        _version, flags, number, generation, seq, pts_ms = HEADER.unpack_from(data)
        payload = data[HEADER.size :]
        self._count(seq, "a frame")
        self._acknowledge()
        channel = self.channels.get(number)
        if channel is None or channel.closed.done():
            return
        utterance = len(channel.of("tts.started"))
        newest = channel.newest_pts.get(utterance, -1)
        if pts_ms <= newest:
            return  # again, after a move: ignored and counts for nothing
        channel.newest_pts[utterance] = pts_ms
        channel.audio.setdefault(utterance, {})[pts_ms] = payload
        channel.owed_bytes += len(payload)
        if channel.owed_bytes >= CREDIT_BYTES:
            self.command({"type": "credit", "channel": number, "bytes": channel.owed_bytes})
            channel.owed_bytes = 0
        if channel.plays and (flags & LAST or pts_ms >= channel.told_ms + REPORT_MS or pts_ms < channel.told_ms):
            channel.told_ms = pts_ms
            self.command({"type": "playback", "channel": number, "played_ms": pts_ms, "generation": generation})

    # --- out ---

    def _write(self, message: dict[str, Any]) -> None:
        self._write_text(json.dumps(message))

    def _write_text(self, text: str) -> None:
        if self._socket is not None:
            self._socket.send(text)

    def _write_bytes(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.send(data)
