"""The console in a real browser, with an audio file as its microphone and a tap on its loudspeaker output."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright, expect

from server.embedded.browser.launching import find_chromium
from tests.support.gateway import AUDIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from playwright.async_api import Browser, Page

    from tests.support.gateway import GatewayProcess

    Console = Callable[..., AbstractAsyncContextManager[Page]]

WAIT_MS = 120_000  # whatever has not come by then never comes, on a busy machine too
expect.set_options(timeout=WAIT_MS)
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
VIEWS = ("talk", "turns", "wire", "rest", "system", "recordings", "lab")

# Records the audio output: [time, loudest sample] of each block that is not silent.
TAP = """
window.heard = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...more) {
  if (to instanceof AudioDestinationNode && !this.tap) {
    this.tap = to.context.createScriptProcessor(1024, 1, 1);
    this.tap.onaudioprocess = ({ inputBuffer }) => {
      let loudest = 0;
      for (const sample of inputBuffer.getChannelData(0)) loudest = Math.max(loudest, Math.abs(sample));
      if (loudest > 0.01) window.heard.push([performance.now(), loudest]);
    };
    connect.call(this, this.tap);
    connect.call(this.tap, to);
  }
  return connect.call(this, to, ...more);
};
"""

# A microphone that hears what `speak` says to it, when it is said; Chromium's own plays its file from the moment it is opened.
EAR = """() => {
  const context = new AudioContext({ sampleRate: 16_000 });
  const ear = context.createMediaStreamDestination();
  navigator.mediaDevices.getUserMedia = async () => ear.stream.clone();
  window.speak = (pcm) => {
    const samples = new Int16Array(Uint8Array.from(atob(pcm), (each) => each.charCodeAt(0)).buffer);
    const buffer = context.createBuffer(1, samples.length, 16_000);
    buffer.getChannelData(0).set(Array.from(samples, (sample) => sample / 0x8000));
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(ear);
    return new Promise((resolve) => { source.onended = () => resolve(); source.start(); });
  };
}"""


@asynccontextmanager
async def launched(microphone: Path | None = None) -> AsyncIterator[Browser]:
    """A browser whose microphone is an audio file, played once."""
    flags = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone or recording('what-time-is-it')}%noloop",
        "--autoplay-policy=no-user-gesture-required",
        "--disable-background-networking",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(""), chromium_sandbox=False, args=flags
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def console(
    gateway: GatewayProcess,
    microphone: Path | None = None,
    *,
    browser: Browser | None = None,
    signed_in: bool = True,
    token: str = "",
    size: dict[str, int] = DESK,
    theme: str = "dark",
    pardon: tuple[str, ...] = (),
) -> AsyncIterator[Page]:
    """A page that is signed in by the gateway's link, or by `token`. Fails on console errors without a word of `pardon`, and on requests to other hosts.

    A `microphone`, or no `browser`, needs a browser of its own.
    """
    complaints: list[str] = []
    async with AsyncExitStack() as stack:
        if browser is None or microphone is not None:
            browser = await stack.enter_async_context(launched(microphone))
        scheme: Any = theme
        viewport: Any = size
        context = await browser.new_context(viewport=viewport, color_scheme=scheme)
        stack.push_async_callback(context.close)
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(WAIT_MS)
        await context.add_init_script(TAP)
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: complaints.append(r.url) if not is_ours(r.url, gateway.port) else None)
        await page.goto(f"{gateway.base}/console" + (f"#token={token or gateway.token}" if signed_in else ""))
        try:
            if signed_in:
                await see(page, "#status[data-state=online]")
            yield page
        except PlaywrightError as error:
            error.add_note(f"complaints: {complaints}; the page: {await page.inner_text('body')!r:.2000}")
            raise
    unexpected = [text for text in complaints if not any(word in text for word in pardon)]
    assert not unexpected, unexpected


def is_ours(url: str, port: int) -> bool:
    return url.startswith((f"http://127.0.0.1:{port}/", f"ws://127.0.0.1:{port}/", "data:", "blob:"))


def recording(name: str) -> Path:
    return AUDIO / f"flite-slt-{name}.wav"


async def see(page: Page, selector: str) -> None:
    await page.wait_for_selector(selector, timeout=WAIT_MS)


async def see_gone(page: Page, selector: str) -> None:
    """Wait until nothing of it is visible."""
    await page.wait_for_selector(selector, state="hidden", timeout=WAIT_MS)


async def forget_toasts(page: Page) -> None:
    """So that the next one seen is new: they stay for some seconds."""
    await page.evaluate("document.querySelectorAll('.toast').forEach((each) => each.remove())")


async def copied(page: Page, button: str) -> str:
    """What a button copies. Its toast comes when the clipboard has it."""
    await forget_toasts(page)
    await page.click(button)
    await see(page, ".toast >> text=Copied")
    return str(await page.evaluate("navigator.clipboard.readText()"))


async def until(page: Page, condition: str) -> None:
    """Wait for a JavaScript condition. Playwright's own waiting evaluates text in the page, which its policy forbids."""
    async with asyncio.timeout(WAIT_MS / 1000):
        while not await page.evaluate(condition):
            await asyncio.sleep(0.05)


async def turns_are_over(page: Page, count: int, scope: str = ".talk") -> None:
    await until(page, f"document.querySelectorAll('{scope} .turn:not([data-status=\"\"])').length === {count}")


async def say(page: Page, words: str) -> None:
    await page.fill("#text", words)
    await page.press("#text", "Enter")


async def give_ear(page: Page) -> None:
    """A microphone that hears `speak`."""
    await page.evaluate(EAR)


async def speak(page: Page, pcm: bytes) -> None:
    """Into the microphone of `give_ear`, in real time; returns at the end."""
    await page.evaluate("window.speak", b64encode(pcm).decode())


async def in_writing(page: Page) -> None:
    """Switch to text replies, so that tests which are not about sound need not wait for speech."""
    await page.select_option("label:has-text('Answer') select", "text")


async def go(page: Page, view: str) -> None:
    await page.click(f"#nav [data-view={view}]")
    await see(page, f"section.view[aria-label={'REST' if view == 'rest' else view.capitalize()}]")


async def open_recording(page: Page, file: Path) -> None:
    await go(page, "recordings")
    await page.set_input_files("#recording", file)
    await see(page, "canvas.track")


async def sounds(page: Page, gap_ms: float = 700) -> list[tuple[float, float]]:
    """The stretches of sound at the loudspeaker, as [from, to] in milliseconds."""
    found: list[tuple[float, float]] = []
    for at, _ in await page.evaluate("window.heard"):
        if found and at - found[-1][1] < gap_ms:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found


def session_file(path: Path, lines: list[dict[str, Any]]) -> Path:
    """Write a recording in the console's format."""
    head = {"type": "jarvis.recording", "version": 1, "protocol": "jarvis.v1", "started_at": "2026-01-01T00:00:00Z"}
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *lines)))
    return path
