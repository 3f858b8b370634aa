"""`python -m server replay FILE`: replays a recorded session and compares the outcome, or uses it to make load."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from server.cli.replay_openai import OpenAiPlayer, OpenAiScript, openai_script
from server.cli.replay_outcome import compared
from server.cli.replay_player import Played, Player
from server.cli.replay_script import Script, script_of
from streaming.client.errors import GatewayError
from streaming.jarvis.recording import RecordingError, read

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

NOT_COMPARED = 2  # exit code
MOST_LINE = 16_000_000  # characters; a message of a socket is far smaller
DEVELOPER = "developer"  # if no user is named


def _lines(file: TextIO, path: str) -> Iterator[str]:
    """The lines, each of bounded length: a device such as /dev/zero never ends its first. Raises RecordingError."""
    while line := file.readline(MOST_LINE):
        if len(line) == MOST_LINE:
            raise RecordingError(
                f"{path} is not a recording of a session: a line is longer than {MOST_LINE} characters"
            )
        yield line


def read_script(path: str) -> Script | OpenAiScript:
    """Read a recording as a script. Raises RecordingError."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            recording = read(_lines(file, path), path)
            script = openai_script(recording) or script_of(recording)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecordingError(f"{path} is not a recording of a session: it is not UTF-8") from None
    if not script.cues:
        raise RecordingError(f"{path}: its client said nothing that could be played")
    return script


class ReplayCommand:
    """The `replay` command."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    async def run(self) -> int:
        """Returns the exit code: 0 equal, 1 different, 2 not compared."""
        try:
            script = read_script(self._options.file)
            if self._options.times == 1:
                return self._tell(script, await self._player(script, "").play())
        except (RecordingError, GatewayError) as error:
            print(error, file=sys.stderr)  # noqa: T201 - a command line prints
            return NOT_COMPARED
        return await self._load(script)

    def _player(self, script: Script | OpenAiScript, suffix: str) -> Player | OpenAiPlayer:
        given = self._options
        token = "" if given.user else given.token
        user = "" if token else (given.user or DEVELOPER) + suffix
        fast = given.speed == "fast"
        if isinstance(script, OpenAiScript):
            return OpenAiPlayer(script, given.url, fast=fast, timeout_s=given.timeout, token=token)
        return Player(script, given.url, fast=fast, timeout_s=given.timeout, token=token, user_id=user)

    def _tell(self, script: Script | OpenAiScript, played: Played) -> int:
        facts = compared(script.outcome, played.outcome)
        for fact in facts:
            print(fact)  # noqa: T201 - as above
        for what, count in played.left_out.items():
            print(f"left out: {what} ({count})")  # noqa: T201 - as above
        for what in played.in_vain:
            print(f"waited in vain: {what}")  # noqa: T201 - as above
        differing = sum(not fact.equal for fact in facts)
        print(f"{len(facts) - differing} of {len(facts)} equal")  # noqa: T201 - as above
        return 1 if differing or played.in_vain else 0

    async def _load(self, script: Script | OpenAiScript) -> int:
        """Play it many times concurrently; under DEBUG, each user has one session."""
        failures: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        differing = 0
        first_audio_ms: list[float] = []

        async def one(number: int) -> None:
            nonlocal differing
            try:
                played = await self._player(script, f"-{number}").play()
            except GatewayError as error:
                failures[f"failed: {error}"] += 1
                return
            first_audio_ms.extend(played.outcome.first_audio_ms)
            different = [fact for fact in compared(script.outcome, played.outcome) if not fact.equal]
            reasons.update(f"differs: {fact.what} of {fact.place}" for fact in different)
            reasons.update(f"waited in vain: {what}" for what in played.in_vain)
            differing += bool(different or played.in_vain)

        async with asyncio.TaskGroup() as group:
            for number in range(1, self._options.times + 1):
                group.create_task(one(number), name=f"replay {number}")
        print(f"sessions {self._options.times}, failed {failures.total()}, different {differing}")  # noqa: T201 - as above
        for reason, count in [*failures.most_common(), *reasons.most_common()]:
            print(f"{reason} ({count})")  # noqa: T201 - as above
        if first_audio_ms:
            p50, p99 = _percentile(first_audio_ms, 0.5), _percentile(first_audio_ms, 0.99)
            turns = len(first_audio_ms)
            print(f"first audio after the end of speech: p50 {p50:.0f} ms, p99 {p99:.0f} ms ({turns} turns)")  # noqa: T201 - as above
        return 1 if failures or differing else 0


def _percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
