"""The work of the sessions, in pieces with outcomes that can be checked. A piece that the server reports as lost is counted and started again."""

from __future__ import annotations

import asyncio
import uuid
import wave
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.chaos.client import LostError

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.chaos.client import Channel, Client

FRAME_BYTES = 640  # 20 ms at 16 kHz
PATIENCE_S = 120.0  # for one piece of work; longer is a hang
SENTENCES = (
    "The first train leaves at half past seven, and the second one an hour later.",
    "Please remember to water the plants in the kitchen before you go away.",
    "It is going to rain in the afternoon, so take an umbrella with you.",
)
WITH_SPEECH = {"speech", "stt", "spoken turn"}
RECORDINGS = {
    "flite-slt-what-time-is-it": {"what", "time", "is", "it"},
    "flite-slt-list-files": {"list", "files"},
    "flite-slt-what-is-my-favourite-colour": {"what", "is", "my"},
}


@dataclass
class Outcome:
    """Of all pieces of work of a run. `effects`: what has to be there once when it was answered ok, and never twice."""

    done: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    effects: dict[str, bool] = field(default_factory=dict)
    speech: dict[str, bytes] = field(default_factory=dict)  # each sentence as it sounded first

    def count(self, where: dict[str, int], what: str) -> None:
        """One more."""
        where[what] = where.get(what, 0) + 1


async def work_on(
    client: Client,
    outcome: Outcome,
    audio: Path,
    dice: random.Random,
    until: Callable[[], bool],
    *,
    silent: bool = False,
) -> None:
    """Piece after piece until it is time to stop. `silent`: none with speech."""
    pieces: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("store", lambda: _store(client, outcome)),
        ("store", lambda: _store(client, outcome)),
        ("echo", lambda: _echo(client, outcome)),
        ("approved", lambda: _approved(client, outcome)),
        ("speech", lambda: _speak(client, outcome, dice.choice(SENTENCES))),
        ("typed turn", lambda: _typed(client, outcome)),
        ("stt", lambda: _hear(client, outcome, audio, dice)),
        ("spoken turn", lambda: _talk(client, outcome, audio, dice)),
    ]
    if silent:
        pieces = [(name, piece) for name, piece in pieces if name not in WITH_SPEECH]
    while not until():
        name, piece = dice.choice(pieces)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await client.ready.wait()
                await piece()
        except LostError:
            outcome.count(outcome.told, name)
        except TimeoutError:
            outcome.broken.append(f"{client.session_id}: {name} hangs: {_last_events(client)}")
        else:
            outcome.count(outcome.done, name)
        await asyncio.sleep(dice.random() * 0.3)


def _last_events(client: Client) -> str:
    channels = [channel for channel in client.channels.values() if not channel.closed.done()]
    state = f"{'connected' if client.connected else 'no socket'}, {client.unsent} commands not taken, codes {Counter(client.codes)}; "
    return state + "; ".join(
        f"{channel.kind} {[event['type'] for event in channel.events][-4:]} {client.frames_of(channel)}"
        for channel in channels[-2:]
    )


async def _closed(channel: Channel) -> dict[str, object]:
    return await asyncio.shield(channel.closed)


def _may_be_aborted(client: Client, outcome: Outcome, what: str, closed: dict[str, object]) -> bool:
    """A task of a replica that is gone ends ABORTED, and so says the protocol; a service that was killed is UNAVAILABLE."""
    if closed["status"] == "error" and closed.get("code") in {
        "ABORTED",
        "UNAVAILABLE",
        "CIRCUIT_OPEN",
        "DEADLINE_EXCEEDED",
    }:
        outcome.count(outcome.refused, f"{what} {closed['code']}")
        return True
    if closed["status"] != "ok":
        outcome.broken.append(f"{client.session_id}: {what} closed {closed}")
        return True
    return False


async def _store(client: Client, outcome: Outcome) -> None:
    value = uuid.uuid4().hex
    outcome.effects[value] = False
    answer = await client.call("memory.store", value=value)
    if answer["type"] == "result":
        outcome.effects[value] = True
    elif answer["code"] in {"ABORTED", "UNAVAILABLE", "CIRCUIT_OPEN", "DEADLINE_EXCEEDED"}:
        outcome.count(outcome.refused, f"store {answer['code']}")
    else:
        outcome.broken.append(f"{client.session_id}: memory.store answered {answer}")


async def _echo(client: Client, outcome: Outcome) -> None:
    word = uuid.uuid4().hex
    channel = client.open("execute", executor="os", action="echo", parameters={"args": [word]})
    closed = await _closed(channel)
    if _may_be_aborted(client, outcome, "echo", closed):
        return
    results = channel.of("task.result")
    if [result["result"].get("stdout", "").strip() for result in results] != [word]:
        outcome.broken.append(f"{client.session_id}: echo came to {results}")


async def _approved(client: Client, outcome: Outcome) -> None:
    """A folder is made once: a second run finds it there and fails. It is not among those that `list files` reads out."""
    name = f"made/{uuid.uuid4().hex}"
    channel = client.open("execute", executor="os", action="mkdir", parameters={"args": [name]})
    asked: set[str] = set()
    while not channel.closed.done():
        for question in channel.of("task.confirmation_required"):
            if question["confirmation_id"] not in asked:
                asked.add(question["confirmation_id"])
                client.confirm(question["confirmation_id"])
        await asyncio.wait([channel.closed], timeout=0.02)
    closed = await _closed(channel)
    if _may_be_aborted(client, outcome, "mkdir", closed):
        return
    statuses = [result["status"] for result in channel.of("task.result")]
    if statuses != ["ok"]:
        outcome.broken.append(f"{client.session_id}: mkdir came to {channel.of('task.result')}")


async def _speak(client: Client, outcome: Outcome, sentence: str) -> None:
    channel = client.open("tts", text=sentence)
    closed = await _closed(channel)
    if not _may_be_aborted(client, outcome, "tts", closed):
        _judge_speech(client, outcome, channel, sentence)


def _judge_speech(client: Client, outcome: Outcome, channel: Channel, sentence: str) -> None:
    """Every sample, once: the same bytes as when the sentence was first spoken."""
    sound = b"".join(payload for _, payload in sorted(channel.audio.get(1, {}).items()))
    first = outcome.speech.setdefault(sentence, sound)
    if sound != first:
        outcome.broken.append(f"{client.session_id}: {len(sound)} bytes of speech, {len(first)} when first spoken")
    if [len(channel.of(kind)) for kind in ("tts.started", "tts.done")] != [1, 1]:
        outcome.broken.append(f"{client.session_id}: speech began or ended more than once")


async def _typed(client: Client, outcome: Outcome) -> None:
    channel = client.open("turn", text="what is 17 plus 25", reply="text")
    closed = await _closed(channel)
    if _may_be_aborted(client, outcome, "typed turn", closed):
        return
    _judge_turns(client, outcome, channel, 1, "42", "forty two", "forty-two")


def _judge_turns(client: Client, outcome: Outcome, channel: Channel, count: int, *words: str) -> None:
    done = channel.of("turn.done")
    if len(done) != count:
        outcome.broken.append(f"{client.session_id}: {len(done)} turns ended, {count} were begun")
        return
    for turn in done:
        replies = [reply["text"] for reply in channel.of("turn.reply") if reply["turn_id"] == turn["turn_id"]]
        if turn["status"] == "failed":
            outcome.count(outcome.refused, "turn failed")
        elif len(replies) != 1 or (words and not any(word in replies[0] for word in words)):
            outcome.broken.append(f"{client.session_id}: the reply was {replies}")


def _frames(audio: Path, name: str) -> list[bytes]:
    with wave.open(str(audio / f"{name}.wav")) as file:
        pcm = file.readframes(file.getnframes()) + bytes(32 * 900)
    return [pcm[start : start + FRAME_BYTES] for start in range(0, len(pcm), FRAME_BYTES)]


async def _say(client: Client, channel: Channel, frames: list[bytes], dice: random.Random) -> None:
    """In bursts of odd lengths, as after a cut, or in real time."""
    burst = dice.choice((1, 5, len(frames)))
    for start in range(0, len(frames), burst):
        for offset, frame in enumerate(frames[start : start + burst], start):
            client.say(channel, frame, last=offset == len(frames) - 1)
        await asyncio.sleep(0.02 * burst if burst < len(frames) else 0)


async def _hear(client: Client, outcome: Outcome, audio: Path, dice: random.Random) -> None:
    name = dice.choice(list(RECORDINGS))
    channel = client.open("stt")
    await _say(client, channel, _frames(audio, name), dice)
    closed = await _closed(channel)
    if not _may_be_aborted(client, outcome, "stt", closed):
        _judge_words(client, outcome, channel, name)


def _judge_words(client: Client, outcome: Outcome, channel: Channel, name: str) -> bool:
    text = " ".join(final["text"] for final in channel.of("stt.final")).lower()
    missing = RECORDINGS[name] - set(text.replace("?", "").replace(".", "").replace(",", "").split())
    if missing:
        outcome.broken.append(f"{client.session_id}: {channel.kind}: {sorted(missing)} of {name} not heard in {text!r}")
    return not missing


async def _talk(client: Client, outcome: Outcome, audio: Path, dice: random.Random) -> None:
    name = dice.choice(list(RECORDINGS))
    channel = client.open("turn", reply=dice.choice(("text", "audio")))
    await _say(client, channel, _frames(audio, name), dice)
    closed = await _closed(channel)
    if _may_be_aborted(client, outcome, "spoken turn", closed):
        return
    if _judge_words(client, outcome, channel, name):
        _judge_turns(client, outcome, channel, len([final for final in channel.of("stt.final") if final["text"]]))
