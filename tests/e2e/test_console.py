"""The console in a real browser: speech, lost connections, attacks, sign-in. Its views are in test_console_views."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import uuid
import wave
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import (
    WAIT_MS,
    console,
    go,
    in_writing,
    open_recording,
    recording,
    say,
    see,
    session_file,
    sounds,
    turns_are_over,
    until,
)
from tests.support.gateway import speech

if TYPE_CHECKING:
    from playwright.async_api import Page, Route

    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.gen_test(timeout=120)
STATIC = Path(__file__).parent.parent.parent / "static"
PAYLOADS = [
    '<img src=x onerror="window.hacked=1">',
    "<script>window.hacked=1</script>",
    '"><svg onload="window.hacked=1">',
    "javascript:window.hacked=1",
    '<iframe srcdoc="<script>parent.hacked=1</script>"></iframe>',
    "</textarea><script>window.hacked=1</script>",
    "{{constructor.constructor('window.hacked=1')()}}",
    "<a href='javascript:window.hacked=1' autofocus onfocus='window.hacked=1'>x</a>",
]

# --- talk ---


async def test_the_spoken_words_appear_and_the_answer_is_played(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        assert "token" not in page.url
        await page.evaluate(
            """() => new MutationObserver(() => {
              if (document.querySelector('.you[data-final=false] span:not(:empty)')) window.grew = true;
            }).observe(document.querySelector('.history'), { subtree: true, childList: true, characterData: true, attributes: true })"""
        )
        await page.click("#microphone")
        await see(page, ".you[data-final=true] >> text=what time is it")
        assert await page.evaluate("window.grew"), "words come while they are spoken"
        await see(page, ".agent >> text=/^It is \\d/")
        await until(page, "document.querySelector('.agent .spoken').textContent.length > 8")
        await see(page, ".turn[data-status=ok]")
        stretches = await sounds(page)
        assert stretches, "nothing was heard"
        assert stretches[0][1] - stretches[0][0] > 700
        await see(page, ".panel .waterfall >> text=End of turn")


async def test_speech_silences_the_answer(gateway: GatewayProcess, tmp_path: Path) -> None:
    two = in_a_row(
        tmp_path / "two.wav", ["flite-slt-search-python-tutorials", "flite-slt-what-time-is-it"], pause_ms=1_200
    )
    async with console(gateway, two) as page:
        await page.click("#microphone")
        await see(page, ".foot >> text=interrupted")
        await see(page, ".agent >> text=/^It is \\d/")
        await see(page, ".turn[data-status=ok]")
        first = (await sounds(page, gap_ms=450))[0]
        assert first[1] - first[0] < 2_900, "the whole answer takes 3.4 s"
        heard = await page.inner_text(".turn[data-status=interrupted] .agent .spoken")
        assert len(heard) < len(await page.inner_text(".turn[data-status=interrupted] .agent"))


async def test_a_sound_that_is_no_voice_does_not_touch_the_answer(gateway: GatewayProcess, tmp_path: Path) -> None:
    clapped = in_a_row(tmp_path / "clap.wav", ["flite-slt-search-python-tutorials", clap()], pause_ms=1_500)
    async with console(gateway, clapped) as page:
        await page.evaluate(
            """() => new MutationObserver(() => {
              if (document.querySelector('.agent[data-paused=true]')) window.paused = true;
            }).observe(document.querySelector('.history'), { subtree: true, childList: true, characterData: true, attributes: true })"""
        )
        await page.click("#microphone")
        await see(page, ".turn[data-status=ok]")
        assert not await page.evaluate("window.paused")
        assert await page.inner_text(".agent .spoken") == await page.inner_text(".agent")
        assert await page.locator(".turn").count() == 1, "a sound is no turn"


async def test_push_to_talk_by_the_space_bar(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.click("text=Push to talk")
        await page.keyboard.down(" ")
        await see(page, "#microphone[data-state=held]")
        await see(page, ".you >> text=/time/")
        await page.keyboard.up(" ")
        await see(page, "#microphone[data-state=armed]")
        await see(page, ".agent >> text=/^It is \\d/")
        turns = await page.locator(".turn").count()
        await page.focus("#microphone")  # the bar speaks, it does not press the button too
        await page.keyboard.down(" ")
        await see(page, "#microphone[data-state=held]")
        await page.keyboard.up(" ")
        await see(page, "#microphone[data-state=armed]")
        assert await page.locator("#microphone[data-state=off]").count() == 0
        assert turns == 1


async def test_a_view_is_found_as_it_was_left(gateway: GatewayProcess) -> None:
    box = "document.querySelector('.talk .history')"
    is_at_end = f"{box}.scrollTop > 100 && {box}.scrollTop + {box}.clientHeight > {box}.scrollHeight - 5"
    async with console(gateway) as page:
        await in_writing(page)
        for number in range(9):
            await say(page, f"what time is it, {number}")
        await turns_are_over(page, 9)
        await until(page, is_at_end)
        await go(page, "wire")
        await go(page, "talk")
        await until(page, is_at_end)
        await page.evaluate(f"{box}.scrollTop = 40")
        await go(page, "wire")
        await go(page, "talk")
        assert await page.evaluate(f"{box}.scrollTop") == 40
        await say(page, "list files")  # who asks wants to see the answer
        await until(page, is_at_end)


async def test_a_file_is_a_microphone_too(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.set_input_files("#wav", recording("list-files"))
        await see(page, ".you >> text=list files in the current directory")
        await see(page, ".step .output")
        await see(page, ".agent >> text=/^There /")
        await see(page, "#microphone[data-state=off]")
        await page.set_input_files("#wav", STATIC / "index.html")
        await see(page, ".toast >> text=no sound that this browser can read")
        assert await page.locator(".turn").count() == 1, "what is no sound is no turn"


async def test_a_risky_command_is_asked_about(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "forget my name")
        for what in ("memory.delete", "risk high", "user.name"):  # what an approval is for
            await see(page, f".ask >> text={what}")
        await page.click("text=Deny", timeout=WAIT_MS)
        await see(page, ".badge >> text=declined")
        await see(page, ".agent >> text=I will not do it")
        await say(page, "remember that my name is ada")
        await turns_are_over(page, 2)
        await say(page, "forget my name")
        await page.click(".ask >> text=Approve", timeout=WAIT_MS)
        await turns_are_over(page, 3)
        assert await page.inner_text(".turn:last-child .badge") == "done"


async def test_escape_stops_the_answer(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "search for python tutorials")
        await until(page, "window.heard.length > 5")
        await page.keyboard.press("Escape")
        await see(page, ".foot >> text=cancelled")
        assert sum(end - start for start, end in await sounds(page)) < 2_600
        assert not await page.is_visible("#hush")


# --- a network that breaks ---


async def test_a_cut_socket_comes_back_and_nothing_is_lost(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "search for python tutorials")
        await until(page, "window.heard.length > 5")
        await go(page, "wire")
        await page.click("#cut")
        await see(page, ".toast >> text=nothing lost")
        await go(page, "talk")
        await see(page, ".turn[data-status=ok]")
        assert await page.inner_text(".agent .spoken") == await page.inner_text(".agent")
        (stretch,) = await sounds(page)
        assert stretch[1] - stretch[0] > 2_500, "all of the answer was heard, without a hole"


async def test_a_reload_goes_on_and_what_was_said_is_found_again(gateway: GatewayProcess) -> None:
    words = f"remember that my lucky number is {uuid.uuid4().int % 1000}"
    async with console(gateway, token=gateway.own_token()) as page:  # it is signed out
        await in_writing(page)
        await say(page, words)
        await turns_are_over(page, 1)
        about = (await page.inner_text("#about")).rpartition(" · ")[0]
        await say(page, "what can you do")
        await page.reload()
        await see(page, "#status[data-state=online]")
        assert (await page.inner_text("#about")).startswith(about), "the session is another one"
        await see(page, f".turn .you >> text={words}")
        await turns_are_over(page, 2)
        await page.click("#nav [data-view=wire]")
        await see(page, ".vrow .type >> text=session.resumed")
        await go(page, "talk")
        await go(page, "wire")
        await page.click("text=Cut for 5 s")
        await go(page, "talk")
        await say(page, "what time is it")
        await see(page, ".turn .foot >> text=waits for the connection")
        await page.click("text=Try now")
        await turns_are_over(page, 3)
        assert await page.locator(".talk .turn").count() == 3
        # another session of the same person finds it
        await page.evaluate("sessionStorage.removeItem('jarvis.parked')")
        await page.click("[aria-label='Sign out']")
        await see(page, "#sign-in")
        await page.goto(f"{gateway.base}/console#token={gateway.own_token()}")
        await page.reload()
        await see(page, "#status[data-state=online]")
        await go(page, "recordings")
        await page.fill("#past-words", words.rpartition(" ")[2] + " lucky")
        await page.click(f".past-open:has-text('{words}')")
        await page.press("canvas.track", "End")
        await see(page, ".recordings .turn .you >> text=what time is it")
        await page.click("#past")
        await page.click(f".past li:has-text('{words}') >> text=/^Forget$/")
        await see(page, "text=None has these words")


async def test_being_offline_is_told_and_can_be_ended(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await go(page, "wire")
        await page.click("text=Cut for 5 s")
        await see(page, "#status[data-state=waiting]")
        await see(page, "#banner >> text=socket was cut")
        await page.click("text=Try now")
        await see(page, "#status[data-state=online]")
        assert not await page.is_visible("#banner")


# --- attacks ---


async def test_typed_text_is_never_run(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await in_writing(page)
        for payload in PAYLOADS:
            await say(page, payload)
        await turns_are_over(page, len(PAYLOADS))
        assert await page.locator(".you").all_inner_texts() == PAYLOADS
        assert await unharmed(page)


async def test_what_services_say_is_never_run(gateway: GatewayProcess, tmp_path: Path) -> None:
    """Transcripts, intents, plans, output, results, links, pictures and errors, in every view."""
    lines = [line for number, payload in enumerate(PAYLOADS) for line in hostile_turn(number, payload)]
    async with console(gateway) as page:
        await open_recording(page, session_file(tmp_path / "attack.jsonl", lines))
        await page.press("canvas.track", "End")
        await see(page, ".recordings .fault")
        assert await unharmed(page)
        assert await page.locator(".results a").count() == 0, "a link to something else than a page"
        await page.click("text=See it in Turns and Wire")
        for row in await page.locator(".turn-row").all():
            await row.click()
            assert await unharmed(page)
        await go(page, "wire")
        for row in (await page.locator(".vrow").all())[-12:]:
            await row.click()
            assert await unharmed(page)


def hostile_turn(number: int, payload: str) -> list[dict[str, Any]]:
    channel, turn, at = 2 * number + 1, f"t{number}{payload}", number * 100

    def event(kind: str, **fields: Any) -> dict[str, Any]:
        return {
            "at_ms": at,
            "direction": "in",
            "message": {"type": kind, "channel": channel, "turn_id": turn, **fields},
        }

    result = {"results": [{"title": payload, "url": payload, "snippet": payload}]}
    picture = {"image_base64": payload, "media_type": payload}
    step = {
        "id": payload,
        "executor": payload,
        "action": payload,
        "parameters": {payload: payload},
        "depends_on": [],
        "description": payload,
    }
    question = {"confirmation_id": payload, "reason": payload, "risk": payload, "expires_at": payload}
    return [
        event("stt.speech_started", at_ms=0),
        event("stt.partial", text=payload, stable_chars=3),
        event("stt.final", text=payload, confidence=1, start_ms=0, end_ms=1, words=[]),
        event("turn.intent", intent=payload, confidence=0.5, entities={payload: payload}, alternatives=[]),
        event("turn.plan", plan_id=payload, goal=payload, steps=[step]),
        event("turn.safety", verdict=payload, risk=payload, reasons=[payload], actions=[]),
        event("task.started", task_id=payload, step_id=payload),
        event("task.progress", step_id=payload, message=payload, stream="stdout", data=payload),
        event("task.confirmation_required", step_id="q", **question),
        event("task.result", step_id=payload, status=payload, message=payload, result=result),
        event("task.result", step_id="picture", status="ok", result=picture),
        event("task.result", step_id="other", status="ok", result={payload: payload}),
        event("turn.reply", text=payload),
        event("turn.interrupted", generation=1, heard_ms=1, heard_text=payload),
        event("error", code=payload, message=payload, retryable=False),
        event(payload),
    ]


async def unharmed(page: Page) -> bool:
    strange = (
        "main :is(script, iframe, object, embed, [onerror], [onload], [onfocus], img[src='x'], a[href^='javascript'])"
    )
    return await page.evaluate("window.hacked === undefined") and await page.locator(strange).count() == 0


# --- the client alone ---


async def test_the_readme_shows_how_to_use_the_client(gateway: GatewayProcess) -> None:
    """The block of README as it is printed, on the port of this gateway."""
    blocks = re.findall(r"```js\n(.*?)```", (STATIC.parent / "README.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "/console/jarvis-client.js" in block]
    assert len(block.splitlines()) <= 15
    script = f"const token = {json.dumps(gateway.token)};\n" + block.replace(":8000", f":{gateway.port}")
    said: list[str] = []
    async with console(gateway, signed_in=False) as page:
        page.on("console", lambda message: said.append(message.text))
        await page.route(
            "**/console/readme.js", lambda route: route.fulfill(body=script, content_type="text/javascript")
        )
        await page.evaluate("import('/console/readme.js').then(() => true)")
        async with asyncio.timeout(WAIT_MS / 1000):
            while not any(line.startswith("agent: It is ") for line in said):
                await asyncio.sleep(0.05)
        assert "you: What time is it?" in said
        assert any(line.startswith("hearing: ") for line in said)
        await until(page, "window.heard.length > 5")


# --- sign-in ---


async def test_without_a_token_one_can_sign_in(gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False, pardon=("401",)) as page:
        await see(page, "#sign-in")
        await page.fill("[name=username]", "nobody")
        await page.fill("[name=password]", "wrong")
        await page.click("#sign-in button.primary")
        await see(page, "[role=alert] >> text=Check name and password")
        await page.click("text=Use a token")
        await page.fill("#sign-in textarea", gateway.token)
        await page.click("text=/^Continue$/")
        await see(page, "#status[data-state=online]")
        await page.reload()
        await see(page, "#status[data-state=online]")
        assert not await page.is_visible("#sign-in"), "the token is kept for this tab"


async def test_a_developer_needs_no_token(gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False) as page:
        await page.click("text=Continue as developer")
        await see(page, "#status[data-state=online]")
        await say(page, "what time is it")
        await see(page, ".agent >> text=/^It is \\d/")
        await page.click("nav >> text=System")
        await see(page, ".view >> text=developer")
        assert not await page.is_visible("#sign-in")


async def test_a_gateway_that_does_not_answer_is_told(gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False) as page:
        enough = asyncio.Event()

        async def keep_waiting(route: Route) -> None:
            await enough.wait()
            await route.continue_()

        await page.route("**/auth/ticket", keep_waiting)
        await page.evaluate(f"sessionStorage.setItem('jarvis.token', {json.dumps(gateway.token)})")
        await page.reload()
        await see(page, "#status[data-state=connecting]")
        await see(page, "#banner >> text=Still connecting")
        enough.set()
        await page.unroute_all(behavior="wait")
        await see(page, "#status[data-state=online]")
        assert not await page.is_visible("#banner")


async def test_a_token_that_is_refused_leads_back_to_the_sign_in(gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False, pardon=("401",)) as page:
        await page.evaluate("sessionStorage.setItem('jarvis.token', 'not.a.token')")
        await page.reload()
        await see(page, "#sign-in >> text=Sign in again")
        assert await page.locator("#status[data-state=online]").count() == 0


def clap() -> bytes:
    """A tenth of a second of noise that dies away: a sound without words."""
    noise = random.Random(3)
    samples = (noise.gauss(0, 1) * math.exp(-n / 300) * 20_000 for n in range(1_600))
    return array("h", (round(max(-32_000, min(32_000, sample))) for sample in samples)).tobytes()


def in_a_row(path: Path, parts: list[str | bytes], pause_ms: int) -> Path:
    """Several recordings, by name or as PCM, and silence between them and behind."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        for part in parts:
            out.writeframes(speech(part, silence_ms=0) if isinstance(part, str) else part)
            out.writeframes(bytes(32 * pause_ms))
        out.writeframes(bytes(32 * 6_000))
    return path
