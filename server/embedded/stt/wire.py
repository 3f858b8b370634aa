"""The protocol between the service and its decoder processes over pipes: a JSON header followed by PCM.

Every request has one reply, in order. A pipe that closes ends the process at its other end.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

from server.embedded.stt.transcript import HeardWord, Job, Transcript

_LENGTHS = struct.Struct(">II")  # of the header, of the payload; both in bytes


def pack(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """One message."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(text), len(payload)) + text + payload


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next message; None at the end of the pipe. Blocks."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_bytes, payload_bytes = _LENGTHS.unpack(lengths)
    header, payload = stream.read(header_bytes), stream.read(payload_bytes)
    if len(header) < header_bytes or len(payload) < payload_bytes:
        return None
    return json.loads(header), payload


class Reader:
    """Parses messages from bytes that arrive in pieces on an event loop. Replies have no payload."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The headers completed by this data."""
        self._buffer += data
        found = []
        while len(self._buffer) >= _LENGTHS.size:
            header_bytes, _ = _LENGTHS.unpack_from(self._buffer)
            end = _LENGTHS.size + header_bytes
            if len(self._buffer) < end:
                break
            found.append(json.loads(self._buffer[_LENGTHS.size : end]))
            del self._buffer[:end]
        return found


def pack_jobs(jobs: list[Job]) -> bytes:
    """A request."""
    header = [
        {
            "bytes": len(job.pcm),
            "final": job.final,
            "vocabulary": job.vocabulary,
            "promised": job.promised,
            "closer": job.closer,
        }
        for job in jobs
    ]
    return pack({"jobs": header}, b"".join(job.pcm for job in jobs))


def unpack_jobs(header: dict[str, Any], payload: bytes) -> list[Job]:
    """The jobs of a request."""
    jobs, start = [], 0
    for one in header["jobs"]:
        pcm = payload[start : start + one["bytes"]]
        start += one["bytes"]
        jobs.append(Job(pcm, one["final"], tuple(one["vocabulary"]), one["promised"], one["closer"]))
    return jobs


def pack_transcripts(transcripts: list[Transcript]) -> bytes:
    """A reply."""
    return pack({"transcripts": [_pack(one) for one in transcripts]})


def unpack_transcripts(reply: dict[str, Any]) -> list[Transcript]:
    """The transcripts in a reply's header."""
    return [
        Transcript(one["text"], tuple(HeardWord(*word) for word in one["words"]), one["doubtful"])
        for one in reply["transcripts"]
    ]


def _pack(transcript: Transcript) -> dict[str, Any]:
    words = [(word.text, word.start_ms, word.end_ms, round(word.confidence, 4)) for word in transcript.words]
    return {"text": transcript.text, "words": words, "doubtful": transcript.doubtful}
