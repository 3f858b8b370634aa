"""Uploads of which there are too many, or that wait too long."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from server.audio import upload_room
from server.audio.upload import MAX_OF_A_USER
from server.operations import voice
from tests.handlers.test_voice import BOUNDARY, STT, audio_file, form
from tests.support.rest import document, running

if TYPE_CHECKING:
    from pathlib import Path

    from tornado.httpclient import HTTPResponse

    from tests.support.rest import Rest

OPENAI = "/v1/audio/transcriptions"
both = pytest.mark.parametrize("path", [STT, OPENAI])


def whole(path: str) -> bytes:
    audio = ("audio", audio_file("wav"))
    return form([audio]) if path == STT else form([("model", b"whisper-1"), audio]).replace(b'"audio"', b'"file"')


async def transcribe(gw: Rest, path: str, user: str = "ada") -> HTTPResponse:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return await gw.fetch("POST", path, whole(path), headers=headers, user=user)


async def begin(gw: Rest, path: str, user: str = "ada") -> asyncio.StreamWriter:
    """An upload whose end does not come."""
    before = gw.gateway.upload_room.places.taken.total()
    body = whole(path)
    _, writer = await asyncio.open_connection("127.0.0.1", gw.port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nAuthorization: Bearer {gw.token(user=user)}\r\n"
    writer.write(f"{head}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode() + body[:-1])
    while gw.gateway.upload_room.places.taken.total() == before:
        await asyncio.sleep(0.001)
    return writer


def is_refused(answer: HTTPResponse) -> bool:
    return (answer.code, answer.headers.get("Retry-After")) == (503, "2")


@both
async def test_a_user_has_so_many_uploads_here(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_room, "MAX_OF_A_USER", 2)
    async with running(tmp_path) as gw:
        first, second = await begin(gw, path), await begin(gw, path)
        assert is_refused(await transcribe(gw, path))
        assert (await transcribe(gw, path, "eve")).code == 200
        first.close()
        while gw.gateway.upload_room.places.taken["ada"] == 2:
            await asyncio.sleep(0.001)
        assert (await transcribe(gw, path)).code == 200
        second.close()
        while gw.gateway.requests_running:
            await asyncio.sleep(0.001)
        assert not gw.gateway.upload_room.places.taken


async def test_all_users_have_so_many_and_half_of_the_room_is_for_those_who_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_room, "MAX_UPLOADS", 5)
    async with running(tmp_path) as gw:
        writers = [await begin(gw, STT), await begin(gw, STT)]
        assert is_refused(await transcribe(gw, STT))
        writers += [await begin(gw, STT, user) for user in ("bob", "cy", "dan")]
        assert is_refused(await transcribe(gw, STT, "eve"))
        for writer in writers:
            writer.close()


@both
async def test_an_upload_that_waits_too_long_for_its_turn_ends(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as gw:
        async with AsyncExitStack() as running_files:
            for _ in range(MAX_OF_A_USER):
                await running_files.enter_async_context(gw.gateway.uploads.turn("ada"))
            with monkeypatch.context() as hurried:
                hurried.setattr(voice, "LIMIT_S", 0.01)
                answer = await transcribe(gw, path)
            assert answer.code == 504
            if path == STT:
                assert document(answer)["code"] == "DEADLINE_EXCEEDED"
        assert (await transcribe(gw, path)).code == 200
