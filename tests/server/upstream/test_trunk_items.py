"""Items written by hand are those that protobuf would write."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protos import stt_pb2, tts_pb2
from server.upstream.trunk_items import ItemWriter, varint, whole

NUMBERS = st.integers(1, 2**32 - 1)


@given(NUMBERS, st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=5))
def test_a_microphones_items(number: int, pieces: list[bytes]) -> None:
    items, message = ItemWriter(number), b""
    for pcm in pieces:
        message += items.audio_head(len(pcm)) + pcm
    message += items.commit() + items.end() + items.cancel()
    request = stt_pb2.TrunkRequest.FromString(message)
    assert {item.stream for item in request.items} == {number}
    assert [item.request.audio for item in request.items[:-3]] == pieces
    assert request.items[-3].request.HasField("commit")
    assert (request.items[-2].end, request.items[-1].cancel) == (True, True)


@given(NUMBERS, st.text(max_size=300), st.integers(1, 2**32 - 1))
def test_an_utterances_items(number: int, text: str, credit: int) -> None:
    items = ItemWriter(number)
    first = tts_pb2.StreamRequest(stream=number, metadata={"user": "u"})
    asked = tts_pb2.SynthesizeRequest(text=text)
    message = whole(first.SerializeToString()) + items.request(asked.SerializeToString()) + items.credit(credit)
    request = tts_pb2.TrunkRequest.FromString(message)
    assert list(request.items) == [
        first,
        tts_pb2.StreamRequest(stream=number, request=asked),
        tts_pb2.StreamRequest(stream=number, credit_bytes=credit),
    ]


def test_numbers() -> None:
    assert [varint(number) for number in (0, 127, 128, 300)] == [b"\x00", b"\x7f", b"\x80\x01", b"\xac\x02"]
