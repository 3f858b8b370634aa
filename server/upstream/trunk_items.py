"""Writes the items of a trunk's messages as bytes, without a protobuf object per frame.

`TrunkRequest` has only one field, the repeated items, so a message is its items joined. The fields of an item are those of
StreamRequest in stt.proto and tts.proto, which have the same numbers.
"""

from __future__ import annotations

_ITEM, _STREAM, _REQUEST, _END, _CANCEL, _CREDIT = b"\x0a", b"\x08", b"\x12", b"\x18\x01", b"\x20\x01", b"\x30"
_AUDIO = b"\x12"  # of RecognizeRequest
_COMMIT = b"\x12\x02\x1a\x00"  # a request that holds an empty Commit


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    if number < 0x80:
        return bytes((number,))
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def whole(item: bytes) -> bytes:
    """An item from a StreamRequest that protobuf has serialised."""
    return _ITEM + varint(len(item)) + item


class ItemWriter:
    """Writes the items of one stream."""

    __slots__ = ("_audio_bytes", "_audio_head", "_stream")

    def __init__(self, stream: int) -> None:
        self._stream = _STREAM + varint(stream)
        self._audio_bytes, self._audio_head = -1, b""  # of the newest audio: most frames are equally long

    def audio_head(self, n_bytes: int) -> bytes:
        """The bytes that precede this much audio of a microphone."""
        if n_bytes != self._audio_bytes:
            request = _AUDIO + varint(n_bytes)
            body = self._stream + _REQUEST + varint(len(request) + n_bytes) + request
            self._audio_bytes, self._audio_head = n_bytes, _ITEM + varint(len(body) + n_bytes) + body
        return self._audio_head

    def request(self, message: bytes) -> bytes:
        """A request that protobuf has serialised."""
        return self._item(_REQUEST + varint(len(message)) + message)

    def commit(self) -> bytes:
        """The end of a microphone's utterance."""
        return self._item(_COMMIT)

    def credit(self, n_bytes: int) -> bytes:
        """Credit: the service may send this much more speech."""
        return self._item(_CREDIT + varint(n_bytes))

    def end(self) -> bytes:
        """Half-close."""
        return self._item(_END)

    def cancel(self) -> bytes:
        """Cancel: nobody reads the stream any more."""
        return self._item(_CANCEL)

    def _item(self, body: bytes) -> bytes:
        return whole(self._stream + body)
