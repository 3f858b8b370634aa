"""What is left of an upload that is over."""

from __future__ import annotations

import threading
from typing import IO

import pytest

from handlers.uploads import SPOOL_BYTES, Upload


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
