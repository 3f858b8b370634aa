"""A spoken conversation with a language model through a whole gateway: two tools, an interruption, and what it is told then.

The endpoint is scripted, in OpenAI's wire format; all else is real. docs/CONVERSATION.md shows what this test wrote down;
`WRITE_DOCS=1` writes it anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import TYPE_CHECKING, Any

from streaming.protocol import events, messages
from streaming.protocol.messages import TurnParams
from tests.server.embedded.speech import folded
from tests.support.chat_endpoint import Scene, call, chat_endpoint, words
from tests.support.gateway import ROOT, client, running_gateway, say, speech
from tests.support.replicas import with_own

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.client.channel import GatewayChannel


PAGE = ROOT / "docs" / "CONVERSATION.md"
HEAD = """\
# A conversation with a language model

`tests/e2e/test_conversation.py` held it through a whole gateway and wrote it down: a real microphone stream, Whisper, safety, the
executors, memory, and the voice. Only the model's answers are scripted, by an endpoint in OpenAI's wire format. `>` is what the
model was sent, `<` what it answered.

```
"""
CHANGING = re.compile(r'("created_at": |"duration_ms": )("[^"]*"|[\d.]+)')  # from run to run
PLAYED_MS = 2_000  # of the reply, when the user speaks into it; the gateway trusts a report for 500 ms more
TRUSTED_S = 0.8
LONG = "I will remember that you like blue. In your folder there is one file, called notes. Shall I read it to you, or leave it?"
ANSWERS = [
    Scene(call("memory__store", '{"key": "user.colour", ', '"value": "blue"}')),
    Scene(call("os__ls", '{"args": []}')),
    words("I will remember that you like blue. ", "In your folder there is one file, ", LONG.split("file, ", 1)[1]),
    words("It is noon, ", "as far as I know."),
]


async def until_played(turn: GatewayChannel, told: list[Any]) -> None:
    """Report what is played up to PLAYED_MS, and stop there."""
    async for event in turn:
        if isinstance(event, events.AudioReceived):
            if event.pts_ms >= PLAYED_MS:
                return
            turn.played(event.payload, event.pts_ms)
        else:
            told.append(event)


async def rest(turn: GatewayChannel, told: list[Any]) -> None:
    async for event in turn:
        if not isinstance(event, events.AudioReceived):
            told.append(event)
        elif any(isinstance(each, messages.TurnInterrupted) for each in told):
            turn.played(event.payload, event.pts_ms + 40)
        else:
            turn.credit(event.payload)  # never played: the user speaks


def written(told: list[Any], asked: list[dict[str, Any]]) -> str:
    """The events in order, with what the model was sent where it was asked."""
    lines, requests = [], list(asked)
    for event in told:
        if isinstance(event, messages.SttFinal):
            lines += ["", f"user         {event.text}", f"  > {last_of(requests.pop(0))}"]
        elif isinstance(event, messages.TurnPlan) and event.steps:
            lines += [f"  < call {step.executor}.{step.action} {json.dumps(step.parameters)}" for step in event.steps]
        elif isinstance(event, messages.TaskResult):
            lines.append(f"task         {event.status}")
            lines.append(f"  > {last_of(requests.pop(0))}")
        elif isinstance(event, messages.TurnReply) and event.text.strip():
            lines.append(f"agent        {event.text.strip()}")
        elif isinstance(event, messages.TurnInterrupted):
            lines.append(f"interrupted  heard: {event.heard_text}")
        elif isinstance(event, messages.TurnDone):
            lines.append(f"turn         {event.status}")
    return "\n".join(lines).strip() + "\n"


def last_of(request: dict[str, Any]) -> str:
    """What the model did not know before: the newest message, and the one before where it is the agent's."""
    *_, before, last = request["messages"]
    shown = [message for message in (before, last) if message["role"] != "system" and message.get("content")]
    text = " · ".join(f"{message['role']}: {ordered(message)}" for message in shown)
    return CHANGING.sub(r"\1…", text)


def ordered(message: dict[str, Any]) -> str:
    """Its content; a tool's result with its keys in order."""
    content = str(message["content"])
    return json.dumps(json.loads(content), sort_keys=True) if message["role"] == "tool" else content


async def test_two_tools_an_interruption_and_only_heard_words_go_on(services: dict[str, str], tmp_path: Path) -> None:
    told: list[Any] = []
    async with chat_endpoint(lambda number: ANSWERS[number]) as endpoint:
        settings = {"LLM_BASE_URL": endpoint.url, "LLM_MODEL": "scripted", "LLM_FIRST": "true"}
        gateway = running_gateway(tmp_path, **settings, **with_own(services, "planner", "memory", "os"))
        running = await asyncio.to_thread(gateway.__enter__)
        try:
            async with client(running) as session:
                turn = session.open(TurnParams())
                say(turn, speech("flite-slt-remember-favourite-colour"))
                await until_played(turn, told)
                await asyncio.sleep(TRUSTED_S)
                say(turn, speech("flite-slt-what-time-is-it"))
                turn.end()
                await rest(turn, told)
        finally:
            await asyncio.to_thread(gateway.__exit__, None, None, None)
    (interrupted,) = [event for event in told if isinstance(event, messages.TurnInterrupted)]
    heard = interrupted.heard_text.strip()
    assert LONG.startswith(heard)
    assert 0 < len(heard) < len(LONG) - 20
    assert [event.status for event in told if isinstance(event, messages.TaskResult)] == ["ok", "ok"]
    assert [event.status for event in told if isinstance(event, messages.TurnDone)] == ["interrupted", "ok"]
    last = endpoint.asked[-1]["messages"]
    assert [(message["role"], folded(message["content"])) for message in last[1:]] == [
        ("user", "remember that my favorite color is blue"),
        ("assistant", folded(heard)),
        ("user", "what time is it"),
    ]
    page = f"{HEAD}{written(told, endpoint.asked)}```\n"
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(page, encoding="utf-8")
    shown = PAGE.read_text(encoding="utf-8")
    # how much was heard depends on the voice that is installed
    shown = shown.replace(shown.split("heard: ", 1)[1].split("\n", 1)[0], heard)
    # sorted, because a turn may end while the next words are recognised; only words, see `Heard.said`
    assert sorted(map(folded, page.splitlines())) == sorted(map(folded, shown.splitlines()))
