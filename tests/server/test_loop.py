from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from server.loop import new_event_loop

if TYPE_CHECKING:
    import pytest


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
