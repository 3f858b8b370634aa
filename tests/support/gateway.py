"""A gateway as users run it: in a separate process, on a free port, with real services."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import wave
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import jwt

from streaming.client.gateway import GatewayClient
from streaming.protocol import events, messages
from tests.server.embedded.speech import folded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.client.channel import GatewayChannel

ROOT = Path(__file__).resolve().parent.parent.parent
AUDIO = ROOT / "tests" / "audio"
START_S = 200.0  # a hang; on a busy machine, a start may take a minute
OWN_PORTS, PORTS_OF_A_RUN = (20_000, 32_000), 500
FRAME_BYTES = 640  # 20 ms at 16 kHz
LIGHT = {"STT_ENGINE": "pocketsphinx", "TTS_ENGINE": "espeak"}  # for tests that are not about how well speech is heard
# Of the caller's environment. WS_READER lets all socket tests run on either protocol.
KEPT = ("PATH", "HOME", "LANG", "NODE_COMPILE_CACHE", "WS_READER")
SECRET = "0f3c9a7d5e1b48266b9d70c4e8a1f25337d0"  # used only in these tests


@cache
def _ports_of_this_run() -> tuple[Iterator[int], IO[str]]:
    """A range of ports for this process alone, and the lock that keeps other test runs off it until the process ends."""
    for first in range(*OWN_PORTS, PORTS_OF_A_RUN):
        with contextlib.suppress(OSError):
            lock = (Path(tempfile.gettempdir()) / f"jarvis-test-ports-{first}").open("w")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return itertools.cycle(range(first, first + PORTS_OF_A_RUN)), lock
    raise AssertionError("too many test runs on this machine")


def free_port() -> int:
    """A port that nobody else is given before it is used: neither another run, nor a client by the kernel, which has higher ones."""
    for port in _ports_of_this_run()[0]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the ports never end")


def environment(directory: Path, **settings: str) -> dict[str, str]:
    """The environment without the caller's settings, except those of KEPT."""
    files = directory / "state" / "files"  # the files that commands see
    files.mkdir(parents=True, exist_ok=True)
    (files / "notes.txt").write_text("milk\n")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "JWT_SECRET_KEY": SECRET,
        "DEBUG": "true",
        "HOST": "127.0.0.1",
        "EMBEDDED_DIR": str(directory / "state"),
        "USERS_FILE": str(directory / "users.json"),
        "RATE_LIMIT_REQUESTS": "10000",
        "WS_HANDSHAKES_PER_MINUTE": "10000",
        "OVERLOAD_LAG_MS": "0",  # a busy machine makes tests slow, and must not make them fail by 503
        "GRPC_DEADLINE_MS": "60000",  # nor by DEADLINE_EXCEEDED: intent and safety have two seconds otherwise
        "BROWSER_PRIVATE_NETWORK": "allow",  # test pages are on this machine
        **settings,
    }


class GatewayProcess:
    """`lines` are those on standard output up to the end of the banner.

    `command` and `base` (environment variables) replace the checkout's, for an installed gateway.
    """

    def __init__(
        self,
        directory: Path,
        command: list[str] | None = None,
        base: dict[str, str] | None = None,
        /,
        **settings: str,
    ) -> None:
        self.port = int(settings.get("PORT") or free_port())
        self.base = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}"
        self.log = directory / f"gateway-{self.port}.log"
        self.lines: list[str] = []
        self._log_file = self.log.open("wb")
        settings = {**settings, "PORT": str(self.port)}
        self.process = subprocess.Popen(
            command or [sys.executable, "-m", "server"],
            cwd=directory,
            env=environment(directory, **settings) if base is None else {**base, **settings},
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            text=True,
        )
        self._read_banner()

    def _read_banner(self) -> None:
        deadline = time.monotonic() + START_S
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if "console" in line:
                return
            assert time.monotonic() < deadline, "the gateway did not start in time"
        raise AssertionError(f"the gateway ended: {self.log.read_text()[-2000:]}")

    @property
    def banner(self) -> str:
        return "\n".join(self.lines)

    @property
    def token(self) -> str:
        """The token printed at the start."""
        found = re.search(r"TOKEN=(\S+)", self.banner)
        assert found is not None
        return found[1]

    def own_token(self, user_id: str = "developer", *roles: str) -> str:
        """A token that nobody else uses, so that it may be signed out."""
        now = int(time.time())
        claims = {"sub": user_id, "username": user_id, "roles": roles or ("admin",), "iat": now, "exp": now + 3600}
        return jwt.encode(claims | {"jti": uuid.uuid4().hex}, SECRET, algorithm="HS256")

    def children(self) -> list[int]:
        """All processes that it started, including grandchildren."""
        found, waiting = [], [self.process.pid]
        while waiting:
            command = ["ps", "--ppid", str(waiting.pop()), "-o", "pid="]
            text = subprocess.run(command, capture_output=True, text=True, check=False)
            pids = [int(word) for word in text.stdout.split()]
            found += pids
            waiting += pids
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(120)
        finally:
            self.process.kill()
            self._log_file.close()


@contextlib.contextmanager
def running_gateway(directory: Path, **settings: str) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(directory, **settings)
    try:
        yield gateway
    finally:
        gateway.stop()


def is_running(pid: int) -> bool:
    """True if the process runs. Zombies do not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def speech(name: str, *, silence_ms: int = 1_000) -> bytes:
    """16 kHz PCM of an audio file, followed by silence."""
    with wave.open(str(AUDIO / f"{name}.wav")) as file:
        assert file.getframerate() == 16_000
        pcm: bytes = file.readframes(file.getnframes())
        return pcm + bytes(32 * silence_ms)


def say(channel: GatewayChannel, pcm: bytes) -> None:
    """Send as fast as the credit allows, since endpointing uses audio time."""
    for start in range(0, len(pcm), FRAME_BYTES):
        channel.send_audio(pcm[start : start + FRAME_BYTES], start // 32)


class Heard:
    """Everything received on one channel."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.audio = bytearray()
        self.pts_ms: list[int] = []

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    def said(self) -> list[str]:
        """The words of each final transcript.

        The same sound may be "Remember" once and "remember" once: a final keeps the capitals of the words that a partial promised, and
        how many partials come before it depends on the machine.
        """
        return [folded(final.text) for final in self.of(messages.SttFinal)]

    def replies(self) -> list[str]:
        return [reply.text for reply in self.of(messages.TurnReply)]


async def listen(
    channel: GatewayChannel, heard: Heard | None = None, *, until: type[Any] | None = None, at_once: bool = True
) -> Heard:
    """Receive everything until the channel closes or a message of type `until` arrives.

    If `at_once`, audio is reported as played on arrival. Otherwise nothing is reported, and the gateway assumes real time.
    """
    heard = heard or Heard()
    async for event in channel:
        if isinstance(event, events.AudioReceived):
            heard.audio += event.payload
            if event.payload:
                heard.pts_ms.append(event.pts_ms)
            if at_once:
                channel.played(event.payload, event.pts_ms + 40)
            continue
        heard.messages.append(event)
        if until is not None and isinstance(event, until):
            break
    return heard


def client(gateway: GatewayProcess, session_id: str = "") -> GatewayClient:
    return GatewayClient(gateway.ws, session_id=session_id, token=gateway.token)
