"""What is refused with an upload, and what is left of one that is over."""

from __future__ import annotations

import threading
from typing import IO, TYPE_CHECKING

import pytest

from handlers.uploads import SPOOL_BYTES, Upload
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("size", "elsewhere"), [(SPOOL_BYTES, False), (SPOOL_BYTES + 1, True)])
async def test_the_loop_does_not_wait_until_a_long_file_is_deleted(
    monkeypatch: pytest.MonkeyPatch, size: int, elsewhere: bool
) -> None:
    upload = Upload("multipart/form-data; boundary=x", "audio", ())
    upload.feed(b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n')
    upload.feed(bytes(size) + b"\r\n--x--\r\n")
    file: IO[bytes] = upload.complete()
    closed_by, over, close = [], threading.Event(), file.close

    def note_and_close() -> None:
        closed_by.append(threading.get_ident())
        close()
        over.set()

    monkeypatch.setattr(file, "close", note_and_close)
    upload.close()
    assert over.wait(5)
    assert (closed_by != [threading.get_ident()]) is elsewhere
    assert upload.file is None


@pytest.mark.parametrize(
    ("path", "name", "invalid"), [("/api/v1/voice/stt", "audio", 422), ("/v1/audio/transcriptions", "file", 400)]
)
@pytest.mark.parametrize(
    ("query", "encoding", "words"),
    [("?language=de-DE", "identity", "belong in the body"), ("", "gzip", "compressed bodies")],
)
async def test_what_would_be_ignored_beside_a_form_is_refused(
    tmp_path: Path, path: str, name: str, invalid: int, query: str, encoding: str, words: str
) -> None:
    form = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n\r\n--x--\r\n'.encode()
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": encoding}
    async with running(tmp_path) as rest:
        answer = await rest.fetch("POST", path + query, form, headers=headers)
    assert answer.code == (invalid if query else 415)
    assert words in answer.body.decode()
