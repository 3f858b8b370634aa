"""M8, OS executor: whitelisted commands, no shell, output streamed, the whole process group stopped on cancel."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from protos import os_pb2_grpc
from server.embedded.commands import COMMANDS, MAX_ARGUMENTS, RefusedArgumentError, check_arguments
from server.embedded.executor import Action, ExecutorService, Parameters, WrongParametersError, progress, result

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator

    import grpc.aio

    from protos import executor_pb2

MAX_OUTPUT_BYTES = 256 * 1024  # of both streams together; the rest is counted, not kept
READ_BYTES = 16 * 1024
SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"
END_GRACE_S = 0.5  # between SIGTERM and SIGKILL


class CommandParameters(Parameters):
    """Of every command."""

    args: list[str] = Field(default_factory=list)


class Output:
    """Both streams as they come, in pieces, up to the limit."""

    def __init__(self) -> None:
        self.texts = {"stdout": bytearray(), "stderr": bytearray()}
        self.truncated = False
        self._pieces: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue(8)

    async def read(self, stream: str, source: asyncio.StreamReader) -> None:
        """One stream to its end."""
        while data := await source.read(READ_BYTES):
            room = MAX_OUTPUT_BYTES - sum(map(len, self.texts.values()))
            self.truncated |= len(data) > room
            if room > 0:
                self.texts[stream] += data[:room]
                await self._pieces.put((stream, data[:room]))

    async def close(self) -> None:
        """Both are at their end."""
        await self._pieces.put(None)

    async def pieces(self) -> AsyncGenerator[tuple[str, str], None]:
        """(stream, text) until closed."""
        while (piece := await self._pieces.get()) is not None:
            yield piece[0], piece[1].decode("utf-8", "replace")

    def text(self, stream: str) -> str:
        """All that was kept."""
        return self.texts[stream].decode("utf-8", "replace")


class OsService(ExecutorService, os_pb2_grpc.OsExecutorServicer):
    """See the module."""

    name: ClassVar[str] = "os"
    full_name: ClassVar[str] = "jarvis.os.v1.OsExecutor"

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        os_pb2_grpc.add_OsExecutorServicer_to_server(self, server)

    @property
    def root(self) -> Path:
        """The folder that commands see."""
        return Path(self.config.option("OS_ROOT") or Path.cwd()).resolve()

    def actions(self) -> dict[str, Action]:
        """The whitelist."""
        return {name: Action(command.description, CommandParameters) for name, command in COMMANDS.items()}

    async def perform(
        self, name: str, parameters: Parameters, _request: executor_pb2.ExecuteRequest
    ) -> AsyncGenerator[executor_pb2.ExecuteEvent, None]:
        """Run one."""
        assert isinstance(parameters, CommandParameters)
        if len(parameters.args) > MAX_ARGUMENTS:
            raise WrongParametersError(f"a command takes at most {MAX_ARGUMENTS} arguments")
        try:
            check_arguments(name, parameters.args, self.root)
        except RefusedArgumentError as refused:
            raise WrongParametersError(str(refused)) from None
        began = time.monotonic()
        process = await self._start(name, parameters.args)
        try:
            output = Output()
            async with aclosing(_follow(process, output)) as followed:
                async for event in followed:
                    yield event
            code = await process.wait()
        finally:
            await _end_group(process)
        yield result("ok" if code == 0 else "failed", _values(code, output, began), _words(code, output))

    async def _start(self, name: str, arguments: list[str]) -> Process:
        """No shell, no input, a bare environment, a process group of its own."""
        return await asyncio.create_subprocess_exec(
            name,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.root,
            env={"PATH": SAFE_PATH, "LANG": "C.UTF-8", "HOME": str(self.root)},
            start_new_session=True,
        )


async def _follow(process: Process, output: Output) -> AsyncGenerator[executor_pb2.ExecuteEvent, None]:
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr = process.stdout, process.stderr

    async def read_all() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(output.read("stdout", stdout), name="stdout")
            group.create_task(output.read("stderr", stderr), name="stderr")
        await output.close()

    reading = asyncio.get_running_loop().create_task(read_all(), name="command output")
    try:
        async for stream, text in output.pieces():
            yield progress("", stream=stream, data=text)
    finally:
        reading.cancel()


def _values(code: int, output: Output, began: float) -> dict[str, Any]:
    return {
        "exit_code": code,
        "stdout": output.text("stdout"),
        "stderr": output.text("stderr"),
        "duration_ms": round((time.monotonic() - began) * 1000),
        "truncated": output.truncated,
    }


def _words(code: int, output: Output) -> str:
    if code == 0:
        return ""
    lines = output.text("stderr").strip().splitlines()
    return lines[-1] if lines else f"the command ended with exit code {code}"


async def _end_group(process: Process) -> None:
    """Nothing of the command goes on, grandchildren included."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        if number is signal.SIGTERM:
            await _ended_within(process, END_GRACE_S)
    await process.wait()


async def _ended_within(process: Process, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        return
