from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.protocol.channel import TRANSITIONS, Channel, ChannelInput, ChannelState, ServerChannel
from streaming.protocol.errors import LocalProtocolError
from streaming.protocol.messages import ChannelParams, ExecuteParams, ObserveParams, SttParams, TtsParams, TurnParams

CLIENT = {ChannelInput.CLIENT_DATA, ChannelInput.CLIENT_END, ChannelInput.CLIENT_CANCEL}


def test_what_the_client_says_too_late_is_never_an_error() -> None:
    for state in (ChannelState.CANCELLED, ChannelState.CLOSING, ChannelState.CLOSED):
        assert all(TRANSITIONS[state, happening] is state for happening in CLIENT)


def test_nothing_leads_out_of_closed() -> None:
    assert {to for (state, _), to in TRANSITIONS.items() if state is ChannelState.CLOSED} == {ChannelState.CLOSED}


def test_every_state_but_closed_leads_there() -> None:
    for state in set(ChannelState) - {ChannelState.CLOSED}:
        channel = Channel(1, SttParams(), 0, 0)
        channel.state = state
        if channel.allows(ChannelInput.SERVER_CLOSE):
            channel.move(ChannelInput.SERVER_CLOSE)
        channel.move(ChannelInput.SERVER_CLOSED)
        assert channel.state is ChannelState.CLOSED


@given(st.lists(st.sampled_from(list(ChannelInput)), max_size=12))
def test_no_way_through_the_table_speaks_after_the_end(happenings: list[ChannelInput]) -> None:
    channel = ServerChannel(1, SttParams(), 0, 0, None)
    closing = False
    for happening in happenings:
        if not channel.allows(happening):
            with pytest.raises(LocalProtocolError):
                channel.move(happening)
            continue
        assert not (closing and happening in {ChannelInput.SERVER_DATA, ChannelInput.SERVER_CLOSE})
        channel.move(happening)
        closing = closing or happening is ChannelInput.SERVER_CLOSE


def test_kinds_take_what_is_theirs() -> None:
    hears: list[ChannelParams] = [SttParams(), TurnParams()]
    reads: list[ChannelParams] = [TtsParams()]
    neither: list[ChannelParams] = [
        TurnParams(text="hi"),
        TtsParams(text="hi"),
        ObserveParams(session_id="s"),
        ExecuteParams(executor="os", action="date"),
    ]
    for params in [*hears, *reads, *neither]:
        channel = Channel(1, params, 0, 0)
        assert channel.hears == (params in hears)
        assert channel.reads == (params in reads)
