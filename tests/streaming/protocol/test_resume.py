"""Nothing is lost: wherever the socket is cut, both sides see the same as without the cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streaming.protocol import events, messages
from streaming.protocol.channel import ChannelState
from streaming.protocol.limits import ClientLimits, Limits
from streaming.protocol.outbox import HOLD_S
from streaming.protocol.server import ServerConnection
from streaming.protocol.snapshot import Rewind, Snapshot
from tests.support.link import Link, carried

TURN: list[Any] = [
    lambda link: link.client.open_channel(messages.TurnParams()),
    *[lambda link, n=n: link.client.send_audio(1, b"mic%d" % n, n * 20) for n in range(4)],
    lambda link: link.server.taken(1, 12),
    lambda link: link.server.send_message(messages.SttPartial(channel=1, text="what", stable_chars=4)),
    lambda link: link.client.commit(1),
    lambda link: link.server.send_message(
        messages.SttFinal(channel=1, text="what time", confidence=0.9, start_ms=0, end_ms=80)
    ),
    lambda link: link.server.send_message(messages.TaskProgress(channel=1, step_id="s", message="looking")),
    lambda link: link.server.send_message(messages.TurnReply(channel=1, text="noon")),
    lambda link: link.server.send_message(messages.TtsStarted(channel=1, encoding="opus", sample_rate=24_000)),
    *[lambda link, n=n: link.server.send_audio(1, b"tts%d" % n, 0, n * 20) for n in range(4)],
    lambda link: link.client.played(1, 8),
    lambda link: link.server.interrupt(1),
    lambda link: link.server.send_message(
        messages.TurnInterrupted(channel=1, generation=1, heard_ms=40, heard_text="no")
    ),
    lambda link: link.client.report_playback(1, 40),
    lambda link: link.server.send_audio(1, b"new", 1, 0, last=True),
    lambda link: link.client.call("agent.intents"),
    lambda link: link.server.send_message(messages.Result(id="c2", data={"intents": []})),
    lambda link: link.client.end_channel(1),
    lambda link: link.server.send_message(messages.TurnDone(channel=1, status="ok")),
    lambda link: link.server.close_channel(1),
]


class CutLink(Link):
    """Loses its socket, and all that is on its way, when `left` more messages were delivered."""

    def __init__(self, resume: Any) -> None:
        super().__init__(Limits(microphone_window_bytes=24), ClientLimits(acknowledge_every=3, speaker_window_bytes=16))
        self.left = 0
        self.resume = resume
        self.delivered = 0

    def _maybe_cut(self) -> bool:
        self.delivered += 1
        self.left -= 1
        if self.left != 0:
            return False
        self.cut().connect(self.resume)
        return True

    def deliver_up(self) -> list[Any]:
        return [] if self._maybe_cut() else super().deliver_up()

    def deliver_down(self) -> list[Any]:
        return [] if self._maybe_cut() else super().deliver_down()


def play(cut_before: int = 0, resume: Any = "url") -> CutLink:
    link = CutLink(resume)
    link.connect().settle()
    link.left, link.delivered = cut_before, 0
    for step in TURN:
        step(link)
        link.settle()
    return link


UNCUT = play()


def test_the_turn_is_what_it_is_meant_to_be() -> None:
    kinds = [item.type if isinstance(item, messages.Message) else item[3] for item in UNCUT.view()]
    assert kinds == [
        *["channel.opened", "credit", "stt.partial", "stt.final", "task.progress", "turn.reply", "tts.started"],
        *[b"tts0", b"tts1", b"tts2", b"tts3", "turn.interrupted", b"new", "result", "turn.done", "channel.closed"],
    ]
    assert UNCUT.delivered > 30


@pytest.mark.parametrize("resume", ["url", "message"])
def test_a_cut_before_any_message_changes_nothing(resume: str) -> None:
    for cut_before in range(1, UNCUT.delivered + 1):
        link = play(cut_before, resume)
        assert link.sockets == 2
        assert link.view() == UNCUT.view(), cut_before
        assert link.server_events == UNCUT.server_events, cut_before
        assert link.client.epoch == "e1"


class CutMachine(RuleBasedStateMachine):
    """Both sides speak, and the link is cut anywhere. All that was said arrives once, in order; credit is conserved."""

    def __init__(self) -> None:
        super().__init__()
        self.link = Link(
            Limits(microphone_window_bytes=64, acknowledge_every=4),
            ClientLimits(acknowledge_every=5, speaker_window_bytes=64),
        )
        self.link.connect().settle()
        self.link.client.open_channel(messages.TurnParams())
        self.link.client.open_channel(messages.TurnParams())
        self.link.settle()
        self.told = len(self.link.view())
        self.said: list[str] = []
        self.spoken: dict[int, list[bytes]] = {1: [], 3: []}
        self.heard: dict[int, list[bytes]] = {1: [], 3: []}
        self.calls: list[str] = []
        self.count = 0
        self.connected = True

    def unique(self, size: int) -> bytes:
        self.count += 1
        return b"%04d" % self.count + b"." * size

    channels = st.sampled_from([1, 3])
    sizes = st.integers(0, 28)

    @rule()
    def server_speaks(self) -> None:
        self.count += 1
        self.said.append(f"r{self.count}")
        self.link.server.send_message(messages.Result(id=self.said[-1]))

    @rule(channel=channels, size=sizes)
    def server_plays(self, channel: int, size: int) -> None:
        payload = self.unique(size)
        self.spoken[channel].append(payload)
        self.link.server.send_audio(channel, payload, 0, len(self.spoken[channel]))

    @rule(channel=channels, size=sizes)
    def client_hears(self, channel: int, size: int) -> None:
        payload = self.unique(size)
        self.heard[channel].append(payload)
        self.link.client.send_audio(channel, payload, 0)

    @rule()
    def client_calls(self) -> None:
        self.calls.append(self.link.client.call("x"))

    @rule(up=st.integers(0, 5), down=st.integers(0, 5))
    def some_arrive(self, up: int, down: int) -> None:
        self.link.write()
        for _ in range(min(up, len(self.link.up))):
            self.use_up(self.link.deliver_up())
        for _ in range(min(down, len(self.link.down))):
            self.use_up(self.link.deliver_down())

    @rule(seconds=st.floats(0, 0.7))
    def time_passes(self, seconds: float) -> None:
        self.link.now += seconds
        self.link.client.handle_timeout(self.link.now)
        self.link.server.handle_timeout(self.link.now)

    @precondition(lambda self: self.connected)
    @rule()
    def cut(self) -> None:
        self.link.cut()
        self.connected = False

    @precondition(lambda self: not self.connected)
    @rule(way=st.sampled_from(["url", "message"]))
    def reconnect(self, way: Any) -> None:
        self.link.connect(way)
        self.connected = True

    def use_up(self, told: list[Any]) -> None:
        """Each side takes the audio that it got: credit goes back."""
        for event in told:
            if isinstance(event, events.AudioReceived) and event.generation == 0:
                from_client = event in self.link.server_events
                (self.link.server.taken if from_client else self.link.client.played)(event.channel, len(event.payload))

    def settle(self) -> None:
        self.link.write()
        while self.link.up or self.link.down:
            self.some_arrive(len(self.link.up), len(self.link.down))
            self.link.write()

    @invariant()
    def queues_are_bounded_by_what_was_said(self) -> None:
        assert self.link.server.queue_bytes >= 0
        assert self.link.server.resumable

    def teardown(self) -> None:
        if not self.connected:
            self.link.connect("url")
        self.settle()
        view = self.link.view()[self.told :]
        assert [item.id for item in view if isinstance(item, messages.Result)] == self.said
        got = [event for event in self.link.server_events if isinstance(event, events.AudioReceived)]
        for channel in (1, 3):
            assert [item[3] for item in view if isinstance(item, tuple) and item[0] == channel] == self.spoken[channel]
            assert [event.payload for event in got if event.channel == channel] == self.heard[channel]
            ours, theirs = self.link.server._channels[channel], self.link.client._channels[channel]
            assert ours.send_window.available == theirs.receive_window.available
            assert theirs.send_window.available == ours.receive_window.available
        assert [e.id for e in self.link.server_events if isinstance(e, events.CallReceived)] == self.calls
        assert (self.link.server.queue_bytes, self.link.client._out.queue.bytes) == (0, 0)


CutMachine.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
TestCutMachine = CutMachine.TestCase


@dataclass(frozen=True)
class Kept:
    """What Redis has of a session: the record, and how far its owner was."""

    record: Snapshot
    said: int
    calls: int
    heard: list[bytes]
    utterance_from: int


class CrashMachine(RuleBasedStateMachine):
    """The server dies anywhere, and another goes on with what was written before anything but audio left.

    The owner makes speech again from its beginning, says again what it had not said, and takes the microphone up at the
    utterance's first frame. Each event arrives once, in order; each frame of audio is played once; credit is conserved.
    """

    def __init__(self) -> None:
        super().__init__()
        self.link = Link(
            Limits(microphone_window_bytes=64, acknowledge_every=4),
            ClientLimits(acknowledge_every=5, speaker_window_bytes=64),
        )
        self.link.connect().settle()
        self.link.client.open_channel(messages.TurnParams())
        self.link.settle()
        self.link.server.send_message(messages.TtsStarted(channel=1, encoding="opus", sample_rate=24_000))
        self.link.settle()
        self.count = 0
        self.said: list[str] = []
        self.spoken: list[bytes] = []
        self.asked: list[str] = []
        self.calls: list[str] = []
        self.mouth: list[bytes] = []
        self.heard: list[bytes] = []
        self.frame_bytes: list[int] = []
        self.utterance_from = 0
        self.connected = True
        self.keep()

    # --- the owner ---

    def keep(self) -> None:
        received = len(self.heard)
        rewind = Rewind(self.utterance_from, sum(self.frame_bytes[self.utterance_from : received]))
        self.kept = Kept(
            carried(self.link.server.save({1: rewind})),
            len(self.said),
            len(self.calls),
            self.heard[: self.utterance_from],
            self.utterance_from,
        )

    def write(self) -> None:
        """Nothing but audio leaves before the record is written."""
        self.link.up.extend(self.link.client.data_to_send())
        batch = self.link.server.data_to_send(self.link.now)
        if any(isinstance(item, str) for item in batch):
            self.keep()
        self.link.down.extend(batch)

    def on_server(self, told: list[Any]) -> None:
        for event in told:
            if isinstance(event, events.CallReceived):
                self.calls.append(event.id)
            elif isinstance(event, events.AudioReceived):
                self.heard.append(event.payload)
                self.frame_bytes[len(self.heard) - 1 :] = [len(event.payload)]
                self.link.server.taken(1, len(event.payload), self.utterance_from)

    @rule()
    def utterance_ends(self) -> None:
        self.utterance_from = len(self.heard)

    @rule()
    def server_speaks(self) -> None:
        self.count += 1
        self.said.append(f"r{self.count}")
        self.link.server.send_message(messages.Result(id=self.said[-1]))
        if not self.connected:
            self.keep()

    @rule(size=st.integers(0, 28))
    def server_plays(self, size: int) -> None:
        self.count += 1
        self.spoken.append(b"%04d" % self.count + b"." * size)
        self.link.server.send_audio(1, self.spoken[-1], 0, len(self.spoken))

    @rule(size=st.integers(0, 28))
    def client_talks(self, size: int) -> None:
        self.count += 1
        self.mouth.append(b"%04d" % self.count + b"." * size)
        self.link.client.send_audio(1, self.mouth[-1], 0)

    @rule()
    def client_calls(self) -> None:
        self.asked.append(self.link.client.call("x"))

    @rule(up=st.integers(0, 5), down=st.integers(0, 5))
    def some_arrive(self, up: int, down: int) -> None:
        self.write()
        for _ in range(min(up, len(self.link.up))):
            self.on_server(self.link.deliver_up())
        for _ in range(min(down, len(self.link.down))):
            for event in self.link.deliver_down():
                if isinstance(event, events.AudioReceived):
                    self.link.client.played(1, len(event.payload))

    @precondition(lambda self: self.connected)
    @rule()
    def cut(self) -> None:
        self.link.cut()
        self.connected = False

    @precondition(lambda self: not self.connected)
    @rule()
    def reconnect(self) -> None:
        self.link.connect("url", {1: self.utterance_from})
        self.connected = True

    @rule()
    def crash(self) -> None:
        """The process is gone, with all that is on its way; another takes the session up from the record."""
        if self.connected:
            self.link.cut()
        kept, last_seq = self.kept, self.link.client.last_seq
        server = ServerConnection.restore(kept.record, last_seq, self.link.now, self.link.limits)
        assert server is not None
        self.link.server = server
        del self.calls[kept.calls :]
        self.heard, self.utterance_from = kept.heard[:], kept.utterance_from
        self.link.connect("url", {1: self.utterance_from})
        self.connected = True
        for result in self.said[kept.said :]:
            server.send_message(messages.Result(id=result))
        skipped = server.open_channels()[0].sent_pts_ms
        for pts, payload in enumerate(self.spoken, 1):
            if pts > skipped:
                server.send_audio(1, payload, 0, pts)
        self.keep()

    def teardown(self) -> None:
        if not self.connected:
            self.link.connect("url", {1: self.utterance_from})
        self.write()
        while self.link.up or self.link.down:
            self.some_arrive(len(self.link.up), len(self.link.down))
            self.write()
        view = self.link.view()
        assert [item.id for item in view if isinstance(item, messages.Result)] == self.said
        assert [item[3] for item in view if isinstance(item, tuple)] == self.spoken
        assert self.heard == self.mouth
        assert self.calls == self.asked
        ours, theirs = self.link.server._channels[1], self.link.client._channels[1]
        assert ours.state is ChannelState.OPEN
        assert ours.send_window.available == theirs.receive_window.available
        assert theirs.send_window.available == ours.receive_window.available


CrashMachine.TestCase.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
TestCrashMachine = CrashMachine.TestCase


def test_an_utterance_is_kept_for_another_replica_over_a_resume_at_the_same_one() -> None:
    machine = CrashMachine()
    machine.client_talks(0)
    machine.some_arrive(5, 5)
    machine.cut()
    machine.reconnect()
    machine.some_arrive(5, 5)
    machine.crash()
    machine.teardown()
    assert len(machine.heard) == 1


BURST = [messages.Result(id="c1", data={"n": n, "text": "x" * 100}) for n in range(20)]  # 3 kB of answers


def test_a_reader_that_stops_under_more_than_is_kept_for_replay_loses_nothing() -> None:
    link = Link(Limits(replay_bytes=1_000))
    link.connect().settle()
    link.client.call("agent.intents")
    link.settle()
    link.server.send_message(messages.Result(id="c1", data={"n": -1}))
    link.settle()
    link.client.handle_timeout(link.now + 5)  # it acknowledges
    link.settle()
    assert link.server.unacknowledged_bytes == 0
    for message in BURST:
        link.server.send_message(message)
    while link.server.has_data:
        link.down.extend(link.server.data_to_send(link.now))
    assert 0 < link.server.unacknowledged_bytes < 1_000
    link.cut().connect("url").settle()
    while link.server.queue_bytes:
        link.now += 2
        link.client.handle_timeout(link.now)
        link.settle()
    assert sum(isinstance(event, events.SessionStarted) for event in link.client_events) == 1
    answers = [event.message for event in link.client_events if isinstance(event, events.MessageReceived)]
    assert [answer.data["n"] for answer in answers if isinstance(answer, messages.Result)] == list(range(-1, 20))


def test_a_client_that_never_acknowledges_or_stops_to_is_served_all_the_same() -> None:
    server = ServerConnection("e1", 0.0, Limits(replay_bytes=1_000, heartbeat_s=60.0))
    server.attach(0.0)
    for message in BURST:
        server.send_message(message)
    while server.data_to_send(0.0):
        pass
    assert server.queue_bytes == 0
    server.receive_text(f'{{"type":"ack","seq":{server.last_seq}}}', 1.0)
    for message in BURST:
        server.send_message(message)
    while server.data_to_send(1.0):
        pass
    assert server.queue_bytes
    assert not server.has_data
    assert server.next_deadline() == 1.0 + HOLD_S
    server.handle_timeout(1.0 + HOLD_S)
    while server.data_to_send(1.0 + HOLD_S):
        pass
    assert server.queue_bytes == 0
