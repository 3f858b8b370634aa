"""Debian's Firefox, spoken to by WebDriver BiDi over its own WebSocket: no driver in between (https://w3c.github.io/webdriver-bidi/)."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WAIT_S = 30.0
LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
# A microphone that hums, without a question; sound without a click; no calls home.
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "remote.active-protocols": 1,
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class FirefoxPage:
    """One tab. `complaints` are errors of its console."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        self._context = ""

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Its result. Raises AssertionError with what Firefox says."""
        number = next(self._numbers)
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = await asyncio.wait_for(self._socket.read_message(), WAIT_S)
            assert message is not None, "Firefox has closed the connection"
            answer = json.loads(message)
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.complaints.append(str(answer["params"]["text"]))
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                result: dict[str, Any] = answer["result"]
                return result

    async def begin(self) -> None:
        """A session, and its first tab."""
        await self.command("session.new", capabilities={})
        await self.command("session.subscribe", events=["log.entryAdded"])
        self._context = (await self.command("browsingContext.getTree"))["contexts"][0]["context"]

    async def open(self, url: str) -> None:
        await self.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """A number, a text, or whether."""
        found = await self.command(
            "script.evaluate",
            expression=expression,
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return found["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait for a JavaScript condition."""
        async with asyncio.timeout(WAIT_S):
            while not await self.evaluate(f"Boolean({condition})"):
                await asyncio.sleep(0.05)

    async def see(self, selector: str, text: str = "") -> None:
        """Wait for an element that has that text."""
        find = f"[...document.querySelectorAll({json.dumps(selector)})]"
        await self.until(f"{find}.some((each) => each.textContent.includes({json.dumps(text)}))")

    async def upload(self, selector: str, file: Path) -> None:
        """Into a file input, as its chooser would."""
        found = await self.command(
            "browsingContext.locateNodes", context=self._context, locator={"type": "css", "value": selector}
        )
        element = {"sharedId": found["nodes"][0]["sharedId"]}
        await self.command("input.setFiles", context=self._context, element=element, files=[str(file)])


@asynccontextmanager
async def sound_server(directory: Path) -> AsyncIterator[str]:
    """A loudspeaker that nobody hears: without any, Firefox never starts an AudioContext. Gives its address."""
    program = shutil.which("pulseaudio")
    assert program, "a sound server is needed for this test: apt-get install pulseaudio"
    socket = directory / "pulse"
    modules = ("module-null-sink", f"module-native-protocol-unix auth-anonymous=1 socket={socket}")
    loads = [word for module in modules for word in ("-L", module)]
    process = await asyncio.create_subprocess_exec(
        program, "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", *loads, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(WAIT_S):
            while not socket.exists():
                await asyncio.sleep(0.05)
        yield f"unix:{socket}"
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def firefox(directory: Path) -> AsyncIterator[FirefoxPage]:
    """A headless one with a profile below that folder; fails on errors in its console."""
    async with sound_server(directory) as sound, _headless(directory / "profile", sound) as page:
        yield page
        assert page.complaints == []


@asynccontextmanager
async def _headless(profile: Path, sound: str) -> AsyncIterator[FirefoxPage]:
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    assert program, "Firefox is needed for this test: apt-get install firefox-esr"
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    profile.mkdir()
    (profile / "user.js").write_text("".join(lines))
    arguments = ["--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=DEVNULL, stderr=PIPE, env={**os.environ, "PULSE_SERVER": sound}
    )
    try:
        address = await asyncio.wait_for(_listening(process), WAIT_S)
        page = FirefoxPage(await websocket_connect(f"{address}/session", max_message_size=1 << 24))
        await page.begin()
        yield page
    finally:
        process.terminate()
        await process.wait()


async def _listening(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if found := LISTENING.search(line):
            return found[1].decode()
    raise AssertionError("Firefox ended before it could be spoken to")
