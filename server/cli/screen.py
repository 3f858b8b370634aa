"""What `talk` shows in the terminal: the events of a turn as lines, with the newest transcript still growing."""

from __future__ import annotations

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from streaming.protocol import messages

ENGINE_VERBS = {"stt": "heard by", "tts": "spoken by"}  # the services in session.ready's engines that handle voice


class Screen:
    """The live display."""

    def __init__(self) -> None:
        self._lines: list[Text] = []
        self._interim = ""
        self._latency: dict[str, int | float] = {}

    def engines(self, engines: dict[str, str] | None) -> None:
        """Show the engines for listening and speaking, if the services report them."""
        engines = engines or {}
        named = [f"{verb} {engines[name]}" for name, verb in ENGINE_VERBS.items() if name in engines]
        if named:
            self._lines.append(Text(f"       {', '.join(named)}", style="dim"))

    def say(self, text: str, style: str) -> None:
        """Add a line of our own."""
        self._lines.append(Text(text, style=style))

    def show(self, event: messages.Message) -> None:
        """Add an event."""
        if isinstance(event, messages.SttPartial):
            self._interim = event.text
            return
        line = _LINES.get(type(event))
        if line is not None:
            self._interim = ""
            shown = line(event)
            if shown is not None:
                self._lines.append(shown)
        if isinstance(event, messages.TurnLatency):
            self._latency = dict(event.stages)

    def __rich__(self) -> Table:
        table = Table.grid()
        for line in self._lines:
            table.add_row(line)
        if self._interim:
            table.add_row(Text(f"… {self._interim}", style="dim italic"))
        if self._latency:
            stages = "  ".join(f"{name} {round(ms)}" for name, ms in self._latency.items())
            table.add_row(Text(f"latency (ms after the end of speech)  {stages}", style="dim"))
        return table


def _progress(event: Any) -> Text:
    return Text(f"   {event.message or (event.data or '').rstrip()}", style="dim")


def _question(event: Any) -> Text:
    """What an approval is about: executor, action, arguments, risk."""
    lines = [f"?      {event.sentence or event.reason}"]
    if event.action:
        lines.append(f"       {event.executor}.{event.action}")
    lines += [
        f"         {name} = {json.dumps(value, ensure_ascii=False)}" for name, value in (event.parameters or {}).items()
    ]
    lines.append(f"       risk {event.risk} · y (yes) or n (no), then Enter; or say it")
    return Text("\n".join(lines), style="bold yellow")


def _interrupted(event: Any) -> Text:
    after = f" after “{event.heard_text}”" if event.heard_text else ""
    return Text(f"       interrupted{after}", style="yellow")


_LINES: dict[type, Any] = {
    messages.SttFinal: lambda e: Text(f"you    {e.text or '(no words)'}  ({e.confidence:.0%})", style="bold cyan"),
    messages.TurnIntent: lambda e: Text(
        f"intent {e.intent}  {json.dumps(e.entities) if e.entities else ''}", style="dim"
    ),
    messages.TurnPlan: lambda e: Text(f"plan   {e.goal}: {len(e.steps)} step(s)", style="dim"),
    messages.TurnSafety: lambda e: Text(f"safety {e.verdict}", style="dim"),
    messages.TaskProgress: _progress,
    messages.TaskConfirmationRequired: _question,
    messages.TaskResult: lambda e: Text(f"task   {e.status} {e.message or ''}", style="dim"),
    messages.TurnReply: lambda e: (
        Text(f"agent  {e.text}", style="bold green") if e.text else None
    ),  # "stop" has no reply
    messages.TurnPaused: lambda _e: Text("       paused", style="dim"),  # by a sound, or by an answer to a question
    messages.TurnContinued: lambda _e: Text("       goes on", style="dim"),
    messages.TurnInterrupted: _interrupted,
    messages.Error: lambda e: Text(f"error  {e.code}: {e.message}", style="bold red"),
}
