from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.protocol.errors import LocalProtocolError
from streaming.protocol.window import MAX_CREDIT_BYTES, ReceiveWindow, SendWindow


def test_credit_is_spent_and_granted() -> None:
    window = SendWindow(100)
    window.consume(60)
    window.grant(10)
    assert window.available == 50
    with pytest.raises(LocalProtocolError):
        window.consume(51)
    assert window.available == 50


def test_credit_saturates() -> None:
    window = SendWindow(MAX_CREDIT_BYTES)
    window.grant(MAX_CREDIT_BYTES)
    assert window.available == MAX_CREDIT_BYTES


def test_credit_comes_back_when_half_the_window_was_taken() -> None:
    window = ReceiveWindow(100)
    assert window.receive(80)
    assert window.take(49) == 0
    assert window.take(1) == 50
    assert window.take(30) == 0
    assert (window.available, window.held_bytes) == (70, 0)


def test_the_first_credit_may_come_earlier_so_that_many_microphones_do_not_get_it_together() -> None:
    window = ReceiveWindow(100, early=0.6)
    assert window.grant_due_bytes == 20
    window.receive(80)
    assert window.take(19) == 0
    assert window.take(1) == 20
    assert window.grant_due_bytes == 50
    assert window.take(49) == 0
    assert window.take(1) == 50


def test_what_was_never_granted_is_refused_and_not_counted() -> None:
    window = ReceiveWindow(100)
    assert not window.receive(101)
    assert window.available == 100


def test_taking_more_than_arrived_is_the_callers_mistake() -> None:
    window = ReceiveWindow(100)
    window.receive(10)
    with pytest.raises(LocalProtocolError):
        window.take(11)


def test_a_window_of_nothing_gives_nothing() -> None:
    window = ReceiveWindow(0)
    assert not window.receive(1)
    assert window.take(0) == 0


@given(
    st.integers(2, 1000),
    st.floats(0, 1, exclude_max=True),
    st.lists(st.tuples(st.booleans(), st.integers(0, 500)), max_size=60),
)
def test_sender_and_receiver_agree_whatever_happens(size: int, early: float, steps: list[tuple[bool, int]]) -> None:
    sender, receiver = SendWindow(size), ReceiveWindow(size, early)
    for sends, n_bytes in steps:
        if sends:
            amount = min(n_bytes, sender.available)
            sender.consume(amount)
            assert receiver.receive(amount)
        else:
            sender.grant(receiver.take(min(n_bytes, receiver.held_bytes)))
        assert sender.available == receiver.available
        assert 0 <= receiver.available <= size
        assert receiver.taken_bytes * 2 < size


@given(st.integers(2, 1000), st.floats(0, 1, exclude_max=True), st.data())
def test_a_sender_never_stalls_on_frames_up_to_half_the_window(size: int, early: float, data: st.DataObject) -> None:
    sender, receiver = SendWindow(size), ReceiveWindow(size, early)
    for n_bytes in data.draw(st.lists(st.integers(0, size // 2), max_size=60)):
        assert n_bytes <= sender.available  # all that came before was taken
        sender.consume(n_bytes)
        assert receiver.receive(n_bytes)
        sender.grant(receiver.take(n_bytes))


@given(st.integers(1, 200), st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_nothing_is_granted_before_what_is_due_was_taken(size: int, received: int, taken: int, again: int) -> None:
    window = ReceiveWindow(size)
    window.receive(min(received, size))
    window.take(min(taken, window.held_bytes))
    window.rewind(min(again, window.held_bytes))
    window.take(0)  # a rewind may make a grant due at once
    window.receive(window.available)
    due = window.grant_due_bytes
    if window.held_bytes >= due:
        assert window.take(due - 1) == 0
        assert window.grant_due_bytes == 1
        assert window.take(1) > 0


def test_what_comes_once_more_was_given_back_already() -> None:
    receiver = ReceiveWindow(100)
    assert receiver.receive(60)
    assert receiver.take(60) == 60
    receiver.rewind(60)
    assert (receiver.available, receiver.repaid_bytes) == (160, 60)
    assert receiver.receive(60)
    assert receiver.take(40) == 0
    assert receiver.repaid_bytes == 20
    assert receiver.take(20) == 0
    assert (receiver.available, receiver.held_bytes, receiver.repaid_bytes) == (100, 0, 0)
    assert receiver.receive(50)
    assert receiver.take(50) == 50
