"""Playwright's driver: one Node.js process that all browsers are driven by. It is started here, and ended if it does not answer."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

from playwright._impl._driver import compute_driver_executable, get_driver_env, node_launch_error
from playwright._impl.out_of_process import PlaywrightClient
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Playwright

from server.embedded.browser.keys import add_key_engine
from server.embedded.browser.reading import add_engines
from server.process.lifeline import held

START_S = 30.0  # on a busy machine; a usual one takes half a second
PULSE_S = 15.0  # without an answer, a driver or browser counts as dead. On a machine that is busy with others it may take seconds
CLOSE_S = 5.0  # for closing to complete
PREFIX = "jarvis-browser-"


class Scratch:
    """A folder for what a driver and its browsers write. It goes with the service, or if that was killed, at the start of another.

    A lock tells whose service still runs. It is taken before the folder has the name by which others look for it.
    """

    def __init__(self) -> None:
        """Raises OSError."""
        _sweep()
        made = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}"))
        self._lock = _locked(made)
        self.path = made.rename(made.with_name(made.name.removeprefix("new-")))

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)  # a process that is just ending may still write
        os.close(self._lock)


def _locked(folder: Path) -> int:
    """The descriptor that holds the lock. Raises OSError if another process does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep() -> None:
    """Remove the folders of services that were killed. Those of other users are not ours to touch."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_uid == os.geteuid():
                lock = _locked(folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


class Driver:
    """A driver process and its client. Playwright's own start gives no handle on the process, and the driver this process's TMPDIR."""

    playwright: Playwright

    def __init__(self, scratch: Path) -> None:
        """Raises OSError."""
        self.folder = Path(tempfile.mkdtemp(dir=scratch))  # for what it and its browsers write; it goes with the driver
        self._process: asyncio.subprocess.Process | None = None
        self._client = PlaywrightClient()
        self._transport = self._client._transport  # noqa: SLF001
        self._transport.connect = self._connect  # type: ignore[method-assign]
        # Its client stores the driver's death, and perhaps nobody reads it: asyncio would log that with a traceback.
        for stored in (self._transport.on_error_future, self._client._playwright):  # noqa: SLF001
            stored.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def _connect(self) -> None:
        """Start the process. Raises PlaywrightError."""
        transport = self._transport
        transport._stopped_future = asyncio.get_running_loop().create_future()  # noqa: SLF001
        executable, program = compute_driver_executable()
        environment = {**get_driver_env(), "TMPDIR": str(self.folder)}
        try:
            self._process = await asyncio.create_subprocess_exec(
                *held(executable, program, "run-driver"), stdin=PIPE, stdout=PIPE, limit=32768, env=environment
            )
        except OSError as error:
            raise node_launch_error(executable, error) from None
        transport._proc, transport._output = self._process, self._process.stdin  # noqa: SLF001

    async def start(self) -> None:
        """Wait until it is there. Raises PlaywrightError, or a bare Exception if it dies."""
        try:
            async with asyncio.timeout(START_S):
                self.playwright = Playwright(await asyncio.shield(self._client._playwright))  # noqa: SLF001
                await add_engines(self.playwright)
                await add_key_engine(self.playwright)
        except TimeoutError:
            self.kill()
            raise PlaywrightError(f"its driver was not there after {START_S:.0f} s") from None
        except BaseException:
            self.kill()
            raise

    async def answers(self) -> bool:
        """False for one that has died, and for one that hangs or was stopped."""
        try:
            async with asyncio.timeout(PULSE_S):
                await (await self.playwright.request.new_context()).dispose()
        except Exception:  # noqa: BLE001 - for a dead driver, Playwright raises bare Exception
            return False
        return True

    def kill(self) -> None:
        """End it at once, and with it all browsers, whose profiles nobody else removes then."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)  # a browser that is just ending may still write

    async def stop(self) -> None:
        """End it, also if it hangs or is dead."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._client.stop()
        except Exception:  # noqa: BLE001 - for a dead driver, Playwright raises bare Exception
            self.kill()
