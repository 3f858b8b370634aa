"""What a spoken yes, a no, and words that only sound like one do to an open question: `python -m tests.bench.yes_or_no`. Needs the
extras `voice`, `ears` and `espeak`.

The embedded voice and two of eSpeak NG's say each word at four speeds, without noise and with white noise of RMS 0.01 and 0.03.
`--json FILE` keeps what was heard; `--heard FILE` judges that again, without hearing it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import numpy as np

from protos import stt_pb2_grpc
from server.embedded.intent.recognition import recognise
from server.embedded.tts.espeak import Espeak
from server.embedded.tts.hibari import Hibari
from streaming.agent.answering import LEAST_CONFIDENCE, Answer, Moment, answer
from streaming.open_questions import Meant
from streaming.ports import Confirmation, Intent, IntentGuess
from tests.bench.end_of_turn import at_16_khz
from tests.bench.machine import head, say
from tests.bench.speech import pcm_of, requests
from tests.server.embedded.speech import embedded, recording, silence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.embedded.intent.recognition import IntentCandidate

WORDS = {
    "yes": "Yes.|Yeah.|Yep.|Yes, please.|Sure.|Okay.|Go ahead.|Do it.|All right.|Approved.|Yes, do it.|Yeah, sure.|Okay, do it.|Of course.",
    "no": "No.|Nope.|Nah.|Nah, nah.|Uh-uh.|Nuh-uh.|No, no.|No way.|No thanks.|Never.|Don't.|Not now.|Nah, leave it.|No to both.|Neither.|None.|Nah, and what time is it?",
    "neither": "Know.|Now.|Chess.|Guess.|Yet.|Mess.|Less.|Bless.|Yesterday.|Jeff.|Share.|Sir.|Oh.|Uh.|Ah.|Yuck.|I guess.|Hey.|Whatever.|Which one?",
    "asked": "Yes?|Yeah?|Sure?|Okay?",
}
SPEEDS, NOISES = (0.8, 1.0, 1.2, 1.4), (0.0, 0.01, 0.03)
BOUNDS = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7)
QUESTION = Confirmation("c1", "2030-01-01T00:00:00Z")


@dataclass(frozen=True, slots=True)
class Heard:
    """One recording: what somebody said, how, and what of it was heard."""

    kind: str
    said: str
    voice: str
    speed: float
    noise: float
    text: str
    confidence: float


def _sounds(kinds: list[str]) -> Iterator[tuple[Heard, bytes]]:
    """What is said, at 16 kHz, as loud as a recording."""
    hibari, espeak = Hibari(), Espeak()
    voices = [(hibari, "heart"), (espeak, "en-us"), (espeak, "en-gb")]
    for kind in kinds:
        for said in WORDS[kind].split("|"):
            for engine, voice in voices:
                for speed in SPEEDS:
                    pcm = at_16_khz(engine.say(said, voice, speed, lambda: True).pcm, engine.sample_rate_hz)
                    for noise in NOISES:
                        yield Heard(kind, said, f"{engine.name} {voice}", speed, noise, "", 0.0), _noisy(pcm, noise)
    if "yes" in kinds:
        yield (
            Heard("yes", "Yes, please.", "flite kal", 1.0, 0.0, "", 0.0),
            recording("flite-kal-yes-please") + silence(600),
        )


def _noisy(pcm: bytes, noise: float) -> bytes:
    samples = np.frombuffer(silence(500) + pcm + silence(600), "<i2").astype(float)
    samples *= 0.3 / abs(samples).max()
    return pcm_of(samples + np.random.default_rng(1).normal(0, noise, len(samples)))


async def _heard(stub: stt_pb2_grpc.SpeechToTextStub, one: Heard, pcm: bytes) -> Heard:
    finals = [event.final async for event in stub.Recognize(requests(pcm, interim=False)) if event.final.text]
    text, sure = " ".join(final.text for final in finals), min((final.confidence for final in finals), default=0.0)
    return replace(one, text=text.strip(), confidence=round(sure, 4))


async def hear(kinds: list[str]) -> list[Heard]:
    """All words as the embedded recogniser hears them."""
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder), "stt") as bound:
        async with grpc.aio.insecure_channel(bound["stt"]) as channel:
            stub = stt_pb2_grpc.SpeechToTextStub(channel)
            return [await _heard(stub, one, pcm) for one, pcm in _sounds(kinds)]


def _guess(found: IntentCandidate) -> IntentGuess:
    return IntentGuess(found.intent, found.confidence, found.entities)


def answered(one: Heard) -> Answer:
    """What its words do to a question that was asked, however little sure they are."""
    if not one.text:
        return Answer.NONE
    best, *others = recognise(one.text)
    intent = Intent(best.intent, best.confidence, best.entities, tuple(map(_guess, others)))
    return answer(intent, Meant((QUESTION,), asked=True), Moment(QUESTION), by_voice=True)


def show(heard: list[Heard]) -> None:
    """For each word, what it did; for each kind, how many would approve if a yes needed so much confidence."""
    judged = [(one, answered(one)) for one in heard]
    for kind, words in WORDS.items():
        for said in words.split("|"):
            of_it = [(one, how) for one, how in judged if (one.kind, one.said) == (kind, said)]
            if not of_it:
                continue
            sure = sorted(one.confidence for one, how in of_it if how is Answer.APPROVES)
            taken = sum(confidence >= LEAST_CONFIDENCE for confidence in sure)
            refused = sum(how is Answer.REFUSES for _, how in of_it)
            span = f"{sure[0]:.2f} to {sure[-1]:.2f}" if sure else ""
            texts = ", ".join(
                f"{text!r} {count}" for text, count in Counter(one.text for one, _ in of_it).most_common(5)
            )
            say(
                f"{kind:8} {said:16} {len(of_it):3} · declines {refused:3} · a yes {len(sure):3} {span:13} · approves {taken:3} · {texts}"
            )
    for kind in WORDS:
        for voice in ("hibari", "espeak"):
            for loud in (False, True):
                of_it = [
                    (one, how)
                    for one, how in judged
                    if one.kind == kind and one.voice.startswith(voice) and (one.noise == NOISES[-1]) is loud
                ]
                sure = [one.confidence for one, how in of_it if how is Answer.APPROVES]
                taken = ", ".join(f"{sum(one >= bound for one in sure)} from {bound:.2f}" for bound in BOUNDS)
                say(f"approved, {kind} by {voice}{' in loud noise' if loud else ''}: {taken}, of {len(of_it)}")


def main() -> None:
    """Hear, or read what was heard, and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(WORDS), help="kinds of words")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--heard", type=Path)
    given = parser.parse_args()
    head("Yes, no, and what sounds like them, said to an open question")
    heard = (
        [Heard(**one) for one in json.loads(given.heard.read_text())]
        if given.heard
        else asyncio.run(hear(given.only.split(",")))
    )
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in heard]))
    show(heard)


if __name__ == "__main__":
    main()
