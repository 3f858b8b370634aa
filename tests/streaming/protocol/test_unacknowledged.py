from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streaming.protocol.errors import LocalProtocolError
from streaming.protocol.unacknowledged import UnacknowledgedBuffer


def filled(n: int, max_bytes: int = 1000, max_age_s: float = 60.0) -> UnacknowledgedBuffer:
    buffer = UnacknowledgedBuffer(max_bytes, max_age_s)
    for number in range(1, n + 1):
        buffer.push(f"m{number}", 10, float(number))
    return buffer


def since(buffer: UnacknowledgedBuffer, seq: int) -> list[str | bytes] | None:
    sent = buffer.since(seq)
    return None if sent is None else [entry.data for entry in sent]


def test_everything_after_a_number_is_kept() -> None:
    buffer = filled(3)
    assert since(buffer, 0) == ["m1", "m2", "m3"]
    assert since(buffer, 2) == ["m3"]
    assert since(buffer, 3) == []
    assert (len(buffer), buffer.bytes, buffer.last_seq) == (3, 30, 3)


def test_what_was_never_sent_can_not_be_missed() -> None:
    assert since(filled(3), 4) is None


def test_acknowledged_messages_are_forgotten() -> None:
    buffer = filled(3)
    buffer.acknowledge(2)
    buffer.acknowledge(1)
    assert since(buffer, 2) == ["m3"]
    assert since(buffer, 1) is None
    with pytest.raises(LocalProtocolError):
        buffer.acknowledge(4)


def test_old_messages_are_forgotten() -> None:
    buffer = filled(3)
    expiries = [buffer.next_expiry]
    buffer.expire(62.0)
    assert since(buffer, 1) is None
    assert since(buffer, 2) == ["m3"]
    buffer.expire(100.0)
    assert [*expiries, buffer.next_expiry] == [61.0, None]
    assert since(buffer, 3) == []


def test_bytes_are_bounded() -> None:
    buffer = filled(5, max_bytes=30)
    assert buffer.bytes == 30
    assert since(buffer, 1) is None
    assert since(buffer, 2) == ["m3", "m4", "m5"]


def test_cleared_it_holds_nothing_and_says_so() -> None:
    buffer = filled(3)
    buffer.clear()
    assert (buffer.bytes, since(buffer, 2), since(buffer, 3)) == (0, None, [])


class ReplayMachine(RuleBasedStateMachine):
    """Whatever is pushed, acknowledged and aged: what `since` returns is exactly what was sent, or nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = UnacknowledgedBuffer(max_bytes=200, max_age_s=10.0)
        self.sent: list[str] = []
        self.now = 0.0
        self.acknowledged = 0

    @rule(size=st.integers(1, 250))
    def push(self, size: int) -> None:
        self.sent.append(f"m{len(self.sent)}")
        self.buffer.push(self.sent[-1], size, self.now)

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.buffer.expire(self.now)

    @rule(share=st.floats(0, 1))
    def acknowledge(self, share: float) -> None:
        self.acknowledged = max(self.acknowledged, int(share * len(self.sent)))
        self.buffer.acknowledge(self.acknowledged)

    @invariant()
    def replays_exactly_or_refuses(self) -> None:
        for seq in range(len(self.sent) + 2):
            missed = since(self.buffer, seq)
            assert missed is None or missed == self.sent[seq:]

    @invariant()
    def is_bounded(self) -> None:
        assert self.buffer.bytes <= 200 or len(self.buffer) == 1
        assert self.buffer.bytes == sum(entry.size for entry in self.buffer)
        assert all(entry.at + 10.0 > self.now for entry in self.buffer)


TestReplayMachine = ReplayMachine.TestCase


@given(st.integers(0, 20), st.integers(0, 25))
def test_floor_and_last_bound_what_can_be_resumed(n: int, seq: int) -> None:
    assert (since(filled(n, max_bytes=50), seq) is not None) == (max(0, n - 5) <= seq <= n)
