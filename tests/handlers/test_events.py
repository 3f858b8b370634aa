"""Server-sent events that wait for a client that is slower than its task."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from handlers.events import MAX_WAITING, MAX_WAITING_BYTES, WaitingEvents, relayed
from streaming.ports import FinalTranscript, TaskProgress
from tests.handlers.test_voice import BOUNDARY, audio_file, form
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_client_that_does_not_read_keeps_little_waiting() -> None:
    waiting = WaitingEvents(drops=True)
    for number in range(200):
        waiting.put(TaskProgress(f"step {number}", data="x" * 64 * 1024))
    chunk = await waiting.take()
    assert MAX_WAITING_BYTES // 2 < len(chunk) <= MAX_WAITING_BYTES
    assert b"step 199" in chunk  # the newest


async def test_many_short_events_are_bounded_too_and_a_long_one_is_told() -> None:
    waiting = WaitingEvents(drops=True)
    for number in range(2 * MAX_WAITING):
        waiting.put(TaskProgress(f"step {number}"))
    assert (await waiting.take()).count(b"event: progress") == MAX_WAITING
    waiting.put(TaskProgress("long", data="x" * 2 * MAX_WAITING_BYTES))
    assert len(await waiting.take()) > 2 * MAX_WAITING_BYTES
    waiting.put(TaskProgress("next"))
    assert b"next" in await waiting.take()


async def test_no_word_of_a_transcript_is_dropped() -> None:
    waiting, words = WaitingEvents(drops=False), [b"%d;" % number + b" " * 1_024 for number in range(2 * MAX_WAITING)]
    for word in words:
        waiting.put_event(word)
    assert await waiting.take() == b"".join(words)


@pytest.mark.parametrize("drops", [False, True], ids=["a transcript", "a task"])
async def test_what_comes_while_a_client_reads_slowly_is_sent_though_the_work_has_ended(*, drops: bool) -> None:
    waiting, reads, ended = WaitingEvents(drops=drops), asyncio.Event(), asyncio.Event()
    sent: list[bytes] = []

    async def work() -> str:
        waiting.put_event(b"first;")
        await reads.wait()
        waiting.put_event(b"newest;")
        ended.set()
        return "whole"

    async def send(chunk: bytes) -> None:
        sent.append(chunk)
        reads.set()
        await ended.wait()

    assert await relayed(work(), "work", waiting, send) == "whole"
    assert sent == [b"first;", b"newest;"]


async def test_who_joins_the_deltas_of_a_transcript_has_all_its_words(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        spoken = [FinalTranscript(f"word{number}", 0.9, number, number + 1) for number in range(2 * MAX_WAITING)]
        gw.script.utterances = spoken
        body = form([("model", b"whisper-1"), ("stream", b"true"), ("file", audio_file("wav"))])
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        answer = await gw.fetch("POST", "/v1/audio/transcriptions", body, headers=headers)
        events = [json.loads(line[6:]) for line in answer.body.splitlines() if line]
    assert "".join(event["delta"] for event in events[:-1]) == events[-1]["text"]
    assert len(events) == len(spoken) + 1
