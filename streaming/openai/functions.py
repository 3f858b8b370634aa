"""Functions that the session's client runs: the calls a turn waits for, and their outputs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streaming.agent.brief import Brief
from streaming.openai.client_events import MAX_DEPTH
from streaming.openai.conversation import new_id
from streaming.openai.mistakes import MistakeError
from streaming.ports import CLIENT, Outcome, Round, Step, Tool
from streaming.strict_json import NotJsonError, UnsafeJsonError, parse_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.openai.conversation import Conversation

MAX_CALLS = 256  # unanswered calls kept per session; the oldest are dropped
NO_OUTPUT = "the application has not answered"


@dataclass(slots=True)
class Stopped:
    """A turn that waits for its client's functions. `outputs` are by step id."""

    text: str
    rounds: tuple[Round, ...]
    outputs: dict[str, str]

    def gone_on(self) -> tuple[Round, ...]:
        """The turn's rounds, completed by the outputs of the calls."""
        *before, newest = self.rounds
        known = {outcome.step_id for outcome in newest.outcomes}
        outcomes = tuple(
            Outcome(step.id, "ok", message=self.outputs[step.id])
            if step.id in self.outputs
            else Outcome(step.id, "cancelled", message=NO_OUTPUT)
            for step in newest.steps
            if step.id not in known
        )
        return (*before, replace(newest, outcomes=(*newest.outcomes, *outcomes)))


class Functions:
    """Calls by id, until their output arrives."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[Stopped, str]] = {}  # and the step's id
        self._answered: Stopped | None = None  # the newest with an output that no turn has used yet

    def stop(self, text: str, calls: Sequence[Step], rounds: tuple[Round, ...]) -> list[dict[str, Any]]:
        """The turn stops to wait for these calls; returns their items."""
        stopped, items = Stopped(text, rounds, {}), []
        for step in calls:
            call_id = new_id("call")
            self._note(call_id, stopped, step.id)
            items.append(call_item(call_id, step))
        return items

    def _note(self, call_id: str, stopped: Stopped, step_id: str) -> None:
        if len(self._calls) >= MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        self._calls[call_id] = (stopped, step_id)

    def told(self, call_id: str, name: str, arguments: dict[str, Any]) -> None:
        """Add a call of an earlier conversation, which the client restores."""
        step = Step("told", CLIENT, name, arguments, (), "")
        self._note(call_id, Stopped("", (Round("", (step,), ()),), {}), step.id)

    def answer(self, call_id: str, output: str) -> None:
        """`function_call_output`. Raises MistakeError."""
        called = self._calls.pop(call_id, None)
        if called is None:
            raise MistakeError(
                "invalid_tool_call_id", f"Tool call ID '{call_id[:64]}' not found in conversation.", "item.call_id"
            )
        self._answered, step_id = called
        self._answered.outputs[step_id] = output

    def take(self) -> Stopped | None:
        """The turn to continue, if any; the next call returns None."""
        stopped, self._answered = self._answered, None
        return stopped


def arguments_in(text: str) -> dict[str, Any]:
    """The arguments of a call, as the client spells them; empty if they are not an object that an event may have."""
    try:
        return parse_object(text, MAX_DEPTH)
    except (NotJsonError, UnsafeJsonError):
        return {}


def call_item(call_id: str, step: Step) -> dict[str, Any]:
    """A `function_call` item in progress, without its arguments."""
    return {
        "id": new_id("item"),
        "object": "realtime.item",
        "type": "function_call",
        "status": "in_progress",
        "call_id": call_id,
        "name": step.action,
        "arguments": "",
    }


def brief_of(
    conversation: Conversation, settings: dict[str, Any], rounds: tuple[Round, ...], *, delegates: bool
) -> Brief:
    """What the language model gets besides the words: instructions, the items of role `system`, the client's functions."""
    system = (entry.text for entry in conversation.entries.values() if entry.role == "system")
    choice, tokens = settings["tool_choice"], settings["max_output_tokens"]
    return Brief(
        "\n".join(text for text in (settings["instructions"], *system) if text),
        _functions_of(settings["tools"]),
        choice if isinstance(choice, str) else choice["name"] if choice["type"] == "function" else "auto",
        0 if tokens == "inf" else tokens,
        rounds,
        delegates,
    )


def _functions_of(tools: list[dict[str, Any]]) -> tuple[Tool, ...]:
    """The functions among a session's checked tools, which its client runs."""
    return tuple(
        Tool(CLIENT, tool["name"], tool.get("description") or "", tool.get("parameters") or {})
        for tool in tools
        if tool["type"] == "function"
    )
