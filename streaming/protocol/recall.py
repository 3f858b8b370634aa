"""Commands seen, by id, with their answers: a repeated command is not run again."""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from dataclasses import dataclass


def digest(*request: object) -> int:
    """A number that is equal for equal requests, at every replica. It tells a client's mistakes, and guards nothing."""
    return zlib.crc32(json.dumps(request, sort_keys=True).encode())


@dataclass(slots=True)
class SeenCommand:
    """A command. `what` distinguishes commands with the same id: its type, and a channel's number and kind."""

    what: str
    channel: int | None = None
    answered: bool = False
    answer: str | None = None  # the answer's text without number; None if it was forgotten
    request: int = 0  # digest of what was asked; 0 for a channel, which has its parameters

    @property
    def waits(self) -> bool:
        """True if it is not answered yet. Channel commands never wait, because channels report for themselves."""
        return not self.answered and self.channel is None


class CommandMemory:
    """The newest commands and, up to a limit in bytes, their newest answers."""

    __slots__ = ("_answer_bytes", "_answers", "_max_answer_bytes", "_max_commands", "_seen", "version")

    def __init__(self, max_commands: int, max_answer_bytes: int) -> None:
        self._max_commands = max_commands
        self._max_answer_bytes = max_answer_bytes
        self._seen: OrderedDict[str, SeenCommand] = OrderedDict()
        # Those whose answer is kept, the oldest answer first.
        self._answers: OrderedDict[str, SeenCommand] = OrderedDict()
        self._answer_bytes = 0
        self.version = 0  # incremented with every change

    def get(self, command_id: str) -> SeenCommand | None:
        """The command of that id, if seen before."""
        return self._seen.get(command_id)

    def remember(self, command_id: str, command: SeenCommand) -> None:
        """Remember a new command. Beyond the limit, forget the oldest that does not wait for its answer."""
        self._seen[command_id] = command
        self.version += 1
        if len(self._seen) > self._max_commands:
            oldest = next((key for key, seen in self._seen.items() if not seen.waits), next(iter(self._seen)))
            del self._seen[oldest]
            if oldest in self._answers:
                self._forget_answer(oldest)

    def answer(self, command_id: str, text: str) -> None:
        """Remember a command's answer; only the first one counts."""
        command = self._seen.get(command_id)
        if command is None or command.answered:
            return
        command.answered = True
        self.version += 1
        self._keep_answer(command_id, command, text)
        while self._answer_bytes > self._max_answer_bytes:
            self._forget_answer(next(iter(self._answers)))

    def _keep_answer(self, command_id: str, command: SeenCommand, text: str) -> None:
        command.answer = text
        self._answers[command_id] = command
        self._answer_bytes += len(text)

    def _forget_answer(self, command_id: str) -> None:
        command = self._answers.pop(command_id)
        self._answer_bytes -= len(command.answer or "")
        command.answer = None

    def unanswered(self) -> list[str]:
        """Ids of the commands that wait for an answer."""
        return [key for key, seen in self._seen.items() if seen.waits]

    def save(self) -> list[list[object]]:
        return [
            [key, seen.what, seen.channel, seen.answered, seen.answer, seen.request] for key, seen in self._seen.items()
        ]

    def restore(self, entries: list[list[object]]) -> None:
        """Restore what `save` returned."""
        for key, *fields in entries:
            command = self._seen[str(key)] = SeenCommand(*fields)  # type: ignore[arg-type]  # as written by save
            if command.answer is not None:
                self._keep_answer(str(key), command, command.answer)
