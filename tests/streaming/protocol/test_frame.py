from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.protocol import frame
from streaming.protocol.errors import LocalProtocolError, RemoteProtocolError

u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))


@given(flags=u8, channel=u16, generation=u32, seq=u32, pts_ms=u32, payload=st.binary(max_size=64))
def test_a_frame_survives_the_wire(
    flags: int, channel: int, generation: int, seq: int, pts_ms: int, payload: bytes
) -> None:
    data = frame.encode(channel, payload, generation=generation, seq=seq, pts_ms=pts_ms, flags=flags)
    assert len(data) == frame.HEADER_BYTES + len(payload)
    assert frame.decode(data) == frame.Frame(flags, channel, generation, seq, pts_ms, payload)


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\x01" + tail))
def test_any_bytes_are_a_frame_or_a_protocol_error(data: bytes) -> None:
    if len(data) < frame.HEADER_BYTES or data[0] != frame.VERSION:
        with pytest.raises(RemoteProtocolError) as error:
            frame.decode(data)
        assert error.value.close_code == 1002
    else:
        decoded = frame.decode(data)
        assert frame.encode(decoded.channel, decoded.payload, **_header(decoded)) == data


def _header(decoded: frame.Frame) -> dict[str, int]:
    return {
        "generation": decoded.generation,
        "seq": decoded.seq,
        "pts_ms": decoded.pts_ms,
        "flags": decoded.flags,
    }


@pytest.mark.parametrize("field", ["generation", "seq", "pts_ms"])
def test_numbers_that_do_not_fit_are_the_callers_mistake(field: str) -> None:
    with pytest.raises(LocalProtocolError):
        frame.encode(1, b"", **{field: 2**32})


def test_channel_that_does_not_fit_is_the_callers_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        frame.encode(65_536, b"")
