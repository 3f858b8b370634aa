"""The console in headless Chromium against a gateway with the embedded services: the delays that users feel.

`microphone frame to socket` counts from the worklet's frame being complete to `WebSocket.send`, by one clock of 1 ms. Frames of the
display are the intervals of `requestAnimationFrame`: one late frame is an interval above one and a half periods of 60 Hz.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.machine import head, row, say
from tests.support.browser import console, go, launched, open_recording, see, session_file, turns_are_over, until
from tests.support.browser import say as type_words
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.support.gateway import GatewayProcess

STATIC = Path(__file__).parent.parent.parent / "static"
PERIOD_MS = 1000 / 60
ROWS = 50_000
EMPTY_MS = 3_000
FILTERS = ("word 4", "type:stt -9", '/word \\d+7"/', "way:in 123", "")
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
READY = "performance.now()"

# Each frame's way out: the worklet says when it was complete, and it is known again by its number.
TAP_MICROPHONE = """
Promise.all([import('/console/jarvis-client.js'), import('/console/jarvis/codec.js')]).then(([{ JarvisChannel }, { decodeFrame }]) => {
  const stamps = new Map();
  let at = 0;
  window.frameDelays = [];
  window.AudioWorkletNode = class extends AudioWorkletNode {
    constructor(context, name, options) {
      super(context, name, options);
      if (name === 'jarvis-capture') this.port.addEventListener('message', ({ data }) => { at = data.at; });
    }
  };
  const { sendAudio } = JarvisChannel.prototype;
  let seq = 0;
  JarvisChannel.prototype.sendAudio = function (...frame) {
    stamps.set(seq++, at);
    return sendAudio.apply(this, frame);
  };
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (data) {
    send.call(this, data);
    if (typeof data !== 'string') window.frameDelays.push(Date.now() - stamps.get(decodeFrame(new Uint8Array(data)).seq));
  };
  return true;
})
"""
WATCH_FRAMES = """(() => {
  window.frameTimes = [];
  const next = (now) => { window.frameTimes.push(now); if (window.frameTimes) requestAnimationFrame(next); };
  requestAnimationFrame(next);
})()"""
MARK_ONLINE = """
document.addEventListener('DOMContentLoaded', () => {
  const status = document.getElementById('status');
  if (status) new MutationObserver(() => { if (status.dataset.state === 'online') window.onlineAt ??= performance.now(); })
    .observe(status, { attributes: true });
});
"""
# Rows of the session that this tab has just left, a hundred at a time, as a second of it would leave them.
KEEP = """async (rows) => {
  const { client, startedAt, next } = JSON.parse(sessionStorage.getItem('jarvis.parked'));
  const id = `${client.sessionId}@${startedAt}`;
  const db = await new Promise((resolve) => { const asked = indexedDB.open('jarvis.console'); asked.onsuccess = () => resolve(asked.result); });
  const writing = db.transaction('lines', 'readwrite');
  const line = (n) => ({ n: next + n, at: 2000, direction: 'in', message: { type: 'stt.partial', channel: 1, text: `word ${n}` } });
  for (let n = 0; n < rows; n += 100) writing.objectStore('lines').add({ id, lines: Array.from({ length: 100 }, (_, index) => line(n + index)) });
  await new Promise((resolve) => { writing.oncomplete = resolve; });
  db.close();
}"""
SCROLL = """new Promise((done) => {
  const list = document.querySelector('.virtual');
  list.scrollTop = 0;
  const began = performance.now();
  const next = (now) => {
    list.scrollTop += 400;
    if (now - began < 3000) requestAnimationFrame(next); else done(true);
  };
  requestAnimationFrame(next);
})"""


async def empty_page() -> list[float]:
    """Intervals of the display when there is nothing to draw: what the browser's frame clock gives on this machine."""
    async with launched() as browser:
        page = await browser.new_page()
        await page.evaluate(WATCH_FRAMES)
        await page.wait_for_timeout(EMPTY_MS)
        return await intervals(page)


async def open_once(gateway: GatewayProcess, paints_ms: list[float], online_ms: list[float]) -> None:
    """A browser without anything in its cache."""
    async with console(gateway) as page:
        online_ms.append(await page.evaluate(READY))
        paints_ms.append(await page.evaluate(PAINT))


async def spoken_turn(gateway: GatewayProcess) -> tuple[list[float], list[float]]:
    """Delays of microphone frames, and intervals of the display from the first word to the last of the reply; milliseconds."""
    async with console(gateway) as page:
        await page.evaluate(TAP_MICROPHONE)
        await page.click("#microphone")
        await see(page, ".you >> text=/time/")
        await page.evaluate(WATCH_FRAMES)
        await see(page, ".turn[data-status=ok]")
        return await page.evaluate("window.frameDelays"), await intervals(page)


async def streamed_turns(gateway: GatewayProcess) -> list[float]:
    """Intervals of the display while output streams and a reply is marked word by word."""
    async with console(gateway) as page:
        await page.evaluate(WATCH_FRAMES)
        for number, words in enumerate(("list files", "search for python tutorials"), start=1):
            await type_words(page, words)
            await turns_are_over(page, number)
        return await intervals(page)


def long_session() -> list[dict[str, Any]]:
    """Lines of a recording."""
    return [
        {"at_ms": n, "direction": "in", "message": {"type": "stt.partial", "channel": 1, "text": f"word {n}"}}
        for n in range(ROWS)
    ]


async def scrolled(gateway: GatewayProcess, directory: Path) -> list[float]:
    """Intervals of the display while the list of the wire is scrolled fast."""
    async with console(gateway) as page:
        await open_recording(page, session_file(directory / "long.jsonl", long_session()))
        await page.click("text=See it in Turns and Wire")
        await go(page, "wire")
        await until(page, "document.querySelectorAll('.vrow').length > 10")
        await page.evaluate(WATCH_FRAMES)
        await page.evaluate(SCROLL)
        return await intervals(page)


async def filtered(gateway: GatewayProcess, directory: Path) -> list[float]:
    """Intervals of the display while a turn streams and that many rows are filtered anew with each word typed."""
    async with console(gateway) as page:
        await open_recording(page, session_file(directory / "long.jsonl", long_session()))
        await page.click("text=See it in Turns and Wire")
        await go(page, "talk")
        await type_words(page, "search for python tutorials")
        await go(page, "wire")
        await until(page, "document.querySelectorAll('.vrow').length > 10")
        await page.evaluate(WATCH_FRAMES)
        for words in FILTERS:
            await page.fill("input[type=search]", words)
            await page.wait_for_timeout(500)
        return await intervals(page)


async def reloaded(gateway: GatewayProcess, rows: int = 0) -> float:
    """From the reload of a page to its session's being resumed, in milliseconds; `rows`: kept by the browser before."""
    async with console(gateway) as page:
        await type_words(page, "what time is it")
        await turns_are_over(page, 1)
        await page.add_init_script(MARK_ONLINE)
        await page.goto(f"{gateway.base}/live")
        await page.evaluate(KEEP, rows)
        await page.goto(f"{gateway.base}/console")
        await see(page, ".talk .turn[data-status=ok]")
        return float(await page.evaluate("window.onlineAt"))


async def intervals(page: Page) -> list[float]:
    times = await page.evaluate("window.frameTimes")
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def smoothness(name: str, spans_ms: list[float]) -> None:
    """Frames a second over the whole time, and how many came late."""
    late = sum(span > 1.5 * PERIOD_MS for span in spans_ms)
    say(row(f"{name}, between frames", spans_ms, "ms"))
    say(f"{'':44} {1000 * len(spans_ms) / sum(spans_ms):.1f} frames a second, {100 * late / len(spans_ms):.1f} % late")


def sizes() -> None:
    own = sum(file.stat().st_size for file in [STATIC / "index.html", *(STATIC / "console").iterdir()])
    client = [STATIC / "jarvis-client.js", STATIC / "jarvis" / "codec.js", *(STATIC / "worklets").iterdir()]
    shared = sum(file.stat().st_size for file in client)
    say(f"{'console code, unminified':44} {own / 1024:.0f} KiB, and {shared / 1024:.0f} KiB of client library")


async def main(times: int) -> None:
    """Measure."""
    head(f"the console opened {times} times, {times} spoken turns, {times} × 2 typed ones")
    sizes()
    before = os.getloadavg()[0]
    paints_ms: list[float] = []
    online_ms: list[float] = []
    delays_ms: list[float] = []
    spoken_ms: list[float] = []
    streamed_ms: list[float] = []
    empty_ms: list[float] = []
    with tempfile.TemporaryDirectory() as directory, running_gateway(Path(directory)) as gateway:
        for _ in range(times):
            await open_once(gateway, paints_ms, online_ms)
            empty_ms += await empty_page()
            delays, spans = await spoken_turn(gateway)
            delays_ms += delays
            spoken_ms += spans
            streamed_ms += await streamed_turns(gateway)
        scrolled_ms = await scrolled(gateway, Path(directory))
        filtered_ms = await filtered(gateway, Path(directory))
        empty_ms += await empty_page()
        reloads_ms = [await reloaded(gateway) for _ in range(times)]
        full_ms = [await reloaded(gateway, ROWS) for _ in range(times)]
    say(
        f"{'load average, before and after':44} {before:.1f}, {os.getloadavg()[0]:.1f}; above the cores, figures are of the others too"
    )
    say(row("first paint", paints_ms, "ms"))
    say(row("connected, ready to listen", online_ms, "ms"))
    say(row("microphone frame to socket", delays_ms, "ms"))
    smoothness("an empty page", empty_ms)
    smoothness("a spoken turn", spoken_ms)
    smoothness("typed turns", streamed_ms)
    smoothness(f"scrolling {ROWS:,} rows", scrolled_ms)
    smoothness(f"a turn, and {ROWS:,} rows filtered", filtered_ms)
    say(row("reload to resumed", reloads_ms, "ms"))
    say(row(f"the same, {ROWS:,} rows kept", full_ms, "ms"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=3)
    asyncio.run(main(parser.parse_args().times))
