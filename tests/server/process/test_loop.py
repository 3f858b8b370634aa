from __future__ import annotations

import asyncio
import errno
import signal
import sys

import pytest
from structlog.testing import capture_logs
from tornado.ioloop import IOLoop, PeriodicCallback

from server.process.loop import new_event_loop, run


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


@pytest.mark.parametrize("with_uvloop", [True, False])
def test_the_loop_is_an_ioloop_of_tornado(monkeypatch: pytest.MonkeyPatch, *, with_uvloop: bool) -> None:
    """Started as one, so that Tornado's own timers and executors run on it from the first callback."""
    if not with_uvloop:
        monkeypatch.setitem(sys.modules, "uvloop", None)

    async def work() -> tuple[IOLoop | None, str]:
        started_as = IOLoop.current(instance=False)
        ticked = asyncio.Event()
        timer = PeriodicCallback(ticked.set, 1)
        timer.start()
        await ticked.wait()
        timer.stop()
        assert started_as is not None
        assert await started_as.run_in_executor(None, sum, (1, 2)) == 3
        return started_as, type(asyncio.get_running_loop()).__module__

    started_as, module = run(work())
    assert started_as is not None, "Tornado finds a loop that it did not start only when somebody asks for it"
    assert module.startswith("uvloop") == with_uvloop
