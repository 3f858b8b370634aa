from __future__ import annotations

import asyncio
import errno
import signal
import sys

import pytest
from structlog.testing import capture_logs

from server.loop import new_event_loop, run


def test_a_lack_of_descriptors_is_one_line_on_asyncio_s_own_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    try:
        with capture_logs() as logs:
            loop.call_exception_handler({"message": "x", "exception": OSError(errno.EMFILE, "Too many open files")})
        assert [(line["log_level"], line["reason"]) for line in logs] == [("warning", "Too many open files")]
        assert caplog.records == []
        loop.call_exception_handler({"message": "another fault", "exception": ValueError("v")})
        assert ["another fault" in record.message for record in caplog.records] == [True]
    finally:
        loop.close()


def test_ctrl_c_lets_the_work_clean_up_and_is_still_ctrl_c() -> None:
    ended = []

    async def work() -> None:
        try:
            asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        run(work())
    assert ended == [True]
