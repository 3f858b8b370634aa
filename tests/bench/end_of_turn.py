"""False ends of a turn against delay: `python -m tests.bench.end_of_turn`. Needs the extras `voice` and `ears`.

Sentences of the embedded voice, each with a silence of 0.3 to 1.2 s spliced in between two words. A turn that ends in that silence is
cut off. `--turn-model PATH` adds the rules with a model at TURN_MODEL_PATH. The delay is audio time from the end of speech to the end of the turn; decoding comes on top only where it takes longer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from av import AudioResampler
from av.audio.frame import AudioFrame

from server.embedded.stt import weights
from server.embedded.stt.endpoint import SpeechBegan, SpeechEnded, SpeechEndpointer, SpeechPaused, SpeechWent
from server.embedded.stt.pause import silence_needed_ms
from server.embedded.stt.transcript import Job
from server.embedded.stt.turn_model import TurnModel
from server.embedded.stt.voice_detector import Silero
from server.embedded.stt.whisper import Whisper
from server.embedded.tts.hibari import Hibari
from server.embedded.tts.speech import timed_words
from tests.bench.machine import head, say

if TYPE_CHECKING:
    from collections.abc import Iterator

SENTENCES = (
    ("Search for python tutorials.", (2, 3)),
    ("What is the weather in London?", (3, 5)),
    ("Remember that my favorite color is blue.", (2, 6)),
    ("Open the page example dot com.", (2, 3)),
    ("Tell my brother that the train leaves at noon.", (3, 6)),
    ("I would like to know what time it is.", (4, 6)),
    ("Create a folder called holiday pictures.", (3, 4)),
    ("How long does it take to boil an egg?", (2, 7)),
    ("She bought three oranges and a loaf of bread.", (4, 6)),
    ("Read the second result and open the link.", (4, 7)),
)  # and after which words somebody thinks
PAUSES_MS = (300, 600, 900, 1200)
FIXED_MS = (200, 300, 400, 600, 800, 1000, 1200, 1400)
SCALES = (0.5, 0.75, 1.0, 1.25)
TAIL_MS, BYTES_PER_MS = 2500, 32

Rule = Callable[[str, bytes], float]  # the silence in ms that ends a turn with these words and this sound


@dataclass(frozen=True, slots=True)
class Thought:
    """A recording at 16 kHz, and when its last word ends."""

    pcm: bytes
    speech_end_ms: int


def at_16_khz(pcm: bytes, rate_hz: int) -> bytes:
    """Resampled."""
    frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.sample_rate = rate_hz
    frame.planes[0].update(pcm)
    engine = AudioResampler(format="s16", layout="mono", rate=16_000)
    frames = [*engine.resample(frame), *engine.resample(None)]
    return b"".join(bytes(one.planes[0])[: one.samples * 2] for one in frames)


def recordings() -> Iterator[Thought]:
    """Every sentence with every pause at every place."""
    voice = Hibari()
    noise = np.random.default_rng(5).normal(0, 10, 20 * 16_000)
    for text, places in SENTENCES:
        spoken = voice.say(text, "heart", 1.0, lambda: True)
        words = timed_words(text, spoken, len(spoken.pcm) / 2 / voice.sample_rate_hz * 1000)
        pcm = at_16_khz(spoken.pcm, voice.sample_rate_hz)
        for place in places:
            cut = int((words[place - 1].end_ms + words[place].start_ms) / 2) * BYTES_PER_MS
            for pause_ms in PAUSES_MS:
                whole = bytes(300 * BYTES_PER_MS) + pcm[:cut] + bytes(pause_ms * BYTES_PER_MS) + pcm[cut:]
                samples = np.frombuffer(whole + bytes(TAIL_MS * BYTES_PER_MS), "<i2").astype(float)
                heard = np.clip(samples + noise[: len(samples)], -32768, 32767).astype("<i2").tobytes()
                yield Thought(heard, int(300 + words[-1].end_ms + pause_ms))


class Judge:
    """Runs the endpointer with different rules; what is said before a pause is decoded once."""

    def __init__(self) -> None:
        self._whisper = Whisper(weights.bundled())
        self._texts: dict[bytes, str] = {}
        self._detector = Silero()

    def _text(self, pcm: bytes) -> str:
        if pcm not in self._texts:
            (seen,) = self._whisper.decode([Job(pcm, final=True)])
            self._texts[pcm] = seen.text
        return self._texts[pcm]

    def ended_ms(self, thought: Thought, needed_ms: Rule) -> int:
        """When the first turn ends, in the recording's time."""
        endpointer, said = SpeechEndpointer(self._detector.stream()), bytearray()
        for start in range(0, len(thought.pcm), 640):
            endpointer.push(thought.pcm[start : start + 640])
            while (event := endpointer.next()) is not None:
                match event:
                    case SpeechBegan() | SpeechWent():
                        said += event.pcm
                    case SpeechPaused():
                        endpointer.silence_needed_ms = int(needed_ms(self._text(bytes(said)), bytes(said)))
                    case SpeechEnded():
                        return endpointer.now_ms
        return endpointer.now_ms


def fixed(silence_ms: float) -> Rule:
    """The same silence whatever was said."""
    return lambda _text, _pcm: silence_ms


def scaled(factor: float) -> Rule:
    """The silence that the words need, longer or shorter."""
    return lambda text, _pcm: factor * silence_needed_ms(text)


def modelled(path: str, factor: float) -> Rule:
    """The silence that words and turn model need."""
    model = TurnModel(path)
    judged = cache(model.complete)
    return lambda text, pcm: factor * silence_needed_ms(text, judged(pcm))


def main(turn_model: str) -> None:
    head("the end of a turn: false ends against delay")
    thoughts, judge = list(recordings()), Judge()
    rules = [(f"words, times {factor:g}", scaled(factor)) for factor in SCALES]
    if turn_model:
        rules += [(f"words and model, times {factor:g}", modelled(turn_model, factor)) for factor in SCALES]
    rules += [(f"{silence} ms of silence", fixed(silence)) for silence in FIXED_MS]
    say(f"{len(thoughts)} recordings, a quarter each with a pause of {', '.join(map(str, PAUSES_MS))} ms")
    say(f"{'rule':28} {'cut off':>9}  {'delay p50':>9}  {'p95':>7}")
    for name, needed in rules:
        ends_ms = [judge.ended_ms(thought, needed) - thought.speech_end_ms for thought in thoughts]
        delays = [end for end in ends_ms if end >= 0]
        cut = len(ends_ms) - len(delays)
        p50, p95 = (np.percentile(delays, share) if delays else float("nan") for share in (50, 95))
        say(f"{name:28} {100 * cut / len(thoughts):7.0f} %  {p50:6.0f} ms  {p95:4.0f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--turn-model", default="", metavar="PATH")
    main(parser.parse_args().turn_model)
