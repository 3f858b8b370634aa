"""The console in a real browser: spoken to, cut off, attacked, and looked at by axe."""

from __future__ import annotations

import asyncio
import json
import re
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.support.browser import (
    PHONE,
    VIEWS,
    WAIT_MS,
    console,
    go,
    open_recording,
    recording,
    say,
    see,
    session_file,
    sounds,
    turns_are_over,
    until,
)

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.gen_test(timeout=120)
STATIC = Path(__file__).parent.parent.parent / "static"
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SERVICES = ("stt", "tts", "intent", "planner", "safety", "browser", "os", "search", "memory")
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
    two = in_a_row(tmp_path / "two.wav", ["search-python-tutorials", "what-time-is-it"], pause_ms=1_200)
    async with console(gateway, two) as page:
        await page.click("#microphone")
        await see(page, ".foot >> text=interrupted")
        await see(page, ".agent >> text=/^It is \\d/")
        await see(page, ".turn[data-status=ok]")
        first = (await sounds(page, gap_ms=450))[0]
        assert first[1] - first[0] < 2_900, "the whole answer takes 3.4 s"
        heard = await page.inner_text(".turn[data-status=interrupted] .agent .spoken")
        assert len(heard) < len(await page.inner_text(".turn[data-status=interrupted] .agent"))


async def test_push_to_talk_by_the_space_bar(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.click("text=Push to talk")
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.down(" ")
        await see(page, "#microphone[data-state=held]")
        await see(page, ".you >> text=/time/")
        await page.keyboard.up(" ")
        await see(page, "#microphone[data-state=armed]")
        await see(page, ".agent >> text=/^It is \\d/")


async def test_a_file_is_a_microphone_too(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.set_input_files("#wav", recording("list-files"))
        await see(page, ".you >> text=list files in the current directory")
        await see(page, ".step .output")
        await see(page, ".agent >> text=/^There /")
        await see(page, "#microphone[data-state=off]")
        await page.set_input_files("#wav", STATIC / "index.html")
        await see(page, ".toast >> text=no sound that this browser can read")


async def test_a_risky_command_is_asked_about(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "forget my name")
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


# --- the views ---


async def test_turns_show_where_the_time_went(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "list files")
        await see(page, ".turn[data-status=ok]")
        await page.keyboard.press("Escape")  # out of the text
        await page.keyboard.press("2")
        for stage in ("Intent", "Plan", "Safety", "os.ls", "Reply words", "First byte", "First sound", "Speaking"):
            await see(page, f".waterfall.wide .name >> text={stage}")
        await see(page, ".chips >> text=first_audio")
        await see(page, ".compare >> text=p95")
        await see(page, ".one-turn .output")
        await page.click(".facts summary >> text=Plan")
        await see(page, ".facts pre >> text=executor")


async def test_any_message_is_sent_by_hand_and_seen_on_the_wire(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await go(page, "wire")
        await page.click("text=Send a message by hand")
        await page.select_option(".composer select", label="call agent.intent")
        await page.click(".composer button.primary")
        await see(page, ".vrow .type >> text=result")
        await page.select_option(".composer select", label="something unknown")
        await page.press(".composer textarea", "Control+Enter")
        await see(page, ".vrow[data-bad=true] >> text=error")
        await page.fill(".composer textarea", "{")
        await page.press(".composer textarea", "Control+Enter")
        await see(page, ".composer >> text=This is no JSON")
        await page.fill("input[type=search]", "UNKNOWN_TYPE")
        await until(page, "document.querySelectorAll('.vrow').length === 1")
        await page.click(".vrow")
        await page.click("text=Copy")
        await see(page, ".toast >> text=Copied")
        copied = json.loads(await page.evaluate("navigator.clipboard.readText()"))
        assert copied["code"] == "UNKNOWN_TYPE"


async def test_tens_of_thousands_of_rows(gateway: GatewayProcess, tmp_path: Path) -> None:
    kinds = ("credit.x", "pong")
    lines = [{"at_ms": n, "direction": "in", "message": {"type": kinds[n % 2], "t": n}} for n in range(40_000)]
    async with console(gateway) as page:
        await open_recording(page, session_file(tmp_path / "long.jsonl", lines))
        await page.click("text=See it in Turns and Wire")
        await go(page, "wire")
        await see(page, "text=20,000 of 40,000")
        await page.check("text=housekeeping")
        await see(page, "text=40,000 of 40,000")
        await page.press(".virtual", "Home")
        await see(page, ".vrow[aria-selected=true] >> text=0:00.0")
        await page.press(".virtual", "End")
        await see(page, ".vrow[aria-selected=true] >> text=0:39.9")
        assert await page.locator(".vrow").count() < 80


async def test_an_operation_is_tried(gateway: GatewayProcess) -> None:
    async with console(gateway, pardon=("422",)) as page:
        await go(page, "rest")
        await see(page, ".detail .path:has-text('/api/v1/agent/intent')")
        await page.click(".detail button.primary")
        await see(page, "#answer-status >> text=200")
        assert json.loads(await page.inner_text("#answer-body"))["intent"] == "get_time"
        await see(page, ".limit >> text=requests left")
        await page.click(".detail .segments >> text=JSON")
        await page.fill("[aria-label='Body as JSON']", '{"text": ""}')
        await page.click(".detail button.primary")
        await see(page, "#answer-status >> text=422")
        await page.click("text=Copy as curl")
        await see(page, ".toast >> text=Copied")
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f"curl -sS -X POST '{gateway.base}/api/v1/agent/intent' -H 'Authorization: Bearer ")


async def test_operations_with_sound_files_and_events(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await go(page, "rest")
        await page.click(".operation >> text=voice.tts")
        await page.click(".detail button.primary")
        await see(page, "audio[controls]")
        await page.click(".operation >> text=/^executor.os.command$/")
        await page.select_option("[aria-label='Answer as']", "text/event-stream")
        await page.click(".detail button.primary")
        await see(page, "#answer-body >> text=event: result")
        await page.click(".operation >> text=voice.stt")
        await page.set_input_files(".detail input[type=file]", recording("what-time-is-it"))
        await page.click(".detail button.primary")
        await see(page, "#answer-body >> text=what time is it")


async def test_the_system_is_shown_as_it_is(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "what time is it")
        await see(page, ".turn[data-status=ok]")
        await go(page, "system")
        for name in SERVICES:
            await see(page, f"[aria-label=Services] tr:has-text('{name}') .badge >> text=circuit closed")
        await see(page, "table[aria-label='Live sessions'] >> text=this one")
        await see(page, "table[aria-label=Calls] >> text=Recognize")
        await see(page, "table[aria-label='Turn stages'] >> text=first_audio")


async def test_a_session_is_saved_opened_and_scrubbed(gateway: GatewayProcess, tmp_path: Path) -> None:
    file = tmp_path / "session.jsonl"
    async with console(gateway) as page:
        await page.set_input_files("#wav", recording("what-time-is-it"))
        await see(page, ".turn[data-status=ok]")
        await say(page, "list files")
        await turns_are_over(page, 2)
        await go(page, "recordings")
        async with page.expect_download() as download:
            await page.click("text=Save this session")
        await (await download.value).save_as(file)
        await open_recording(page, file)
        await page.press("canvas.track", "Home")
        assert await page.locator(".recordings .turn").count() == 0
        await page.press("canvas.track", "End")
        await turns_are_over(page, 2, ".recordings")
        assert "what time is it" in await page.inner_text(".recordings .you >> nth=0")
        await page.press("canvas.track", "Home")
        await page.click("[aria-label=Play]")
        await see(page, ".recordings .you >> text=what time is it")
        assert float((await page.inner_text(".clock")).split("0:")[-1]) > 4
        await page.set_input_files("#recording", STATIC / "index.html")
        await see(page, ".toast >> text=no recording")
    text = file.read_text()
    assert gateway.token not in text
    assert "resume_token" not in text


# --- the client alone ---


async def test_the_readme_shows_how_to_use_the_client(gateway: GatewayProcess) -> None:
    """The block of README as it is printed, on the port of this gateway."""
    (block,) = re.findall(r"```js\n(.*?)```", (STATIC.parent / "README.md").read_text(), re.DOTALL)
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
        assert "you: what time is it" in said
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


async def test_a_token_that_is_refused_leads_back_to_the_sign_in(gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False, pardon=("401",)) as page:
        await page.evaluate("sessionStorage.setItem('jarvis.token', 'not.a.token')")
        await page.reload()
        await see(page, "#sign-in >> text=Sign in again")


# --- looks ---


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_axe_finds_nothing(gateway: GatewayProcess, theme: str) -> None:
    async with console(gateway, theme=theme) as page:
        assert await violations(page) == []
        await say(page, "list files")
        await say(page, "forget my name")
        await see(page, ".ask")
        for view in VIEWS:
            await go(page, view)
            await fill_view(page, view)
            assert await violations(page) == [], view


async def fill_view(page: Page, view: str) -> None:
    if view == "recordings":
        await page.click("text=Scrub this session")
    elif view == "wire":
        await page.click(".vrow >> nth=2")
        await page.click("text=Send a message by hand")
    elif view == "rest":
        await see(page, ".detail .path")
    elif view == "system":
        await see(page, ".tile")


async def test_axe_finds_nothing_on_a_phone_or_at_the_sign_in(gateway: GatewayProcess) -> None:
    async with console(gateway, size=PHONE, theme="light", token=gateway.own_token()) as page:
        await say(page, "list files")
        await see(page, ".turn[data-status=ok]")
        for view in VIEWS:
            await go(page, view)
            await fill_view(page, view)
            assert await violations(page) == [], view
            assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
        await page.click("[aria-label='Sign out']")
        await see(page, "#sign-in")
        assert await violations(page) == []


async def violations(page: Page) -> list[str]:
    found = (await Axe().run(page, options=WCAG)).response["violations"]
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}" for each in found for node in each["nodes"]
    ]


async def test_the_theme_is_kept(gateway: GatewayProcess) -> None:
    async with console(gateway, theme="light") as page:
        ground = "getComputedStyle(document.body).backgroundColor"
        light = await page.evaluate(ground)
        await page.click("#theme")
        assert await page.evaluate(ground) != light
        await page.reload()
        await see(page, "#status[data-state=online]")
        assert await page.evaluate(ground) != light


def test_the_console_is_small() -> None:
    files = [STATIC / "index.html", *(STATIC / "console").iterdir()]
    assert sum(file.stat().st_size for file in files) <= 200 * 1024


def test_no_markup_is_made_of_text() -> None:
    scripts = [*(STATIC / "console").glob("*.js"), STATIC / "jarvis-client.js"]
    banned = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function")
    found = [f"{file.name}: {word}" for file in scripts for word in banned if word in file.read_text()]
    assert found == []


def in_a_row(path: Path, names: list[str], pause_ms: int) -> Path:
    """Several recordings, and silence between them and behind."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        for name in names:
            with wave.open(str(recording(name))) as file:
                out.writeframes(file.readframes(file.getnframes()))
            out.writeframes(bytes(32 * pause_ms))
        out.writeframes(bytes(32 * 6_000))
    return path
