"""The wake word: how often it is heard, and how often without having been said: `python -m tests.bench.wake_word`. Needs the extra `voice`.

"Hey Jarvis", alone and before a command, by the embedded voice at several speeds and by eSpeak NG, clean and in white noise 10 dB
weaker. Then speech without it, by the embedded voice: open sentences, some with words that sound like it. Last, what the model cannot tell
from it.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

from server.embedded.tts.espeak import Espeak
from server.embedded.tts.hibari import Hibari
from streaming.sound.wake import BYTES_PER_MS, WakeWord
from tests.bench.end_of_turn import at_16_khz
from tests.bench.machine import head, say
from tests.bench.speech import OPEN_SENTENCES, pcm_of

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = ("", " What time is it?", " Search for python tutorials.", " Open the first result.", " Stop.")
SPEEDS = (0.8, 0.9, 1.0, 1.1, 1.25)
ALIKE = (
    "The harvest was poor this year.",
    "Travis said hey to Marvin and Jarrod.",
    "He drives a Jaguar to the service station.",
    "They serve us coffee in the garden.",
    "Say, Charles is not here.",
)
MISTAKEN = (
    "Say, Jarvis.",
    "They say Jarvis is nice.",
    "Okay Jarvis.",
    "Today Jarvis went home.",
    "I told Jarvis about it.",
    "Jarvis is a nice name.",
    "Hey, jar this.",
    "Hey Charles.",
    "Hey Travis.",
    "Hey Marvin.",
)
NOISE_DB = 10


def in_noise(pcm: bytes) -> bytes:
    samples = np.frombuffer(pcm, "<i2").astype(float) / 32768
    level = np.sqrt((samples**2).mean()) * 10 ** (-NOISE_DB / 20)
    return pcm_of(samples + np.random.default_rng(4).normal(0, level, len(samples)))


def quiet(pcm: bytes) -> bytes:
    """With half a second of silence around it."""
    return bytes(500 * BYTES_PER_MS) + pcm + bytes(500 * BYTES_PER_MS)


def calls() -> Iterator[tuple[str, bytes]]:
    """Who says it, and the sound."""
    voice = Hibari()
    for command in COMMANDS:
        for speed in SPEEDS:
            spoken = voice.say(f"Hey Jarvis.{command}", "heart", speed, lambda: True)
            yield "hibari", quiet(at_16_khz(spoken.pcm, voice.sample_rate_hz))
    light = Espeak()
    for command in COMMANDS:
        spoken = light.say(f"Hey Jarvis.{command}", "en-us", 1.0, lambda: True)
        yield "eSpeak NG", quiet(at_16_khz(spoken.pcm, light.sample_rate_hz))


def recall() -> None:
    """How many of the calls are heard."""
    found: dict[str, list[bool]] = {}
    word = WakeWord()
    for who, pcm in calls():
        for name, heard in ((who, pcm), (f"{who} in noise", in_noise(pcm))):
            found.setdefault(name, []).append(word.heard(heard))
            word.forget()
    for name, hits in found.items():
        say(f"{name}: {sum(hits)} of {len(hits)} heard")


def mistaken() -> None:
    """How often it is heard in what sounds nearly the same."""
    voice, word = Hibari(), WakeWord()
    for text in MISTAKEN:
        hits = 0
        for speed in SPEEDS:
            spoken = voice.say(text, "heart", speed, lambda: True)
            hits += word.heard(quiet(at_16_khz(spoken.pcm, voice.sample_rate_hz)))
            word.forget()
        say(f"{text} {hits} of {len(SPEEDS)}")


def false_accepts(minutes: float) -> None:
    """How often it is heard in speech without it."""
    voice, word, heard_ms, hits, cpu_s, round_number = Hibari(), WakeWord(), 0, 0, 0.0, 0
    while heard_ms < minutes * 60_000:
        speed = SPEEDS[round_number % len(SPEEDS)]
        for text in (*OPEN_SENTENCES, *ALIKE):
            pcm = quiet(at_16_khz(voice.say(text, "heart", speed, lambda: True).pcm, voice.sample_rate_hz))
            began_s = time.process_time()
            if word.heard(pcm):
                hits += 1
                word.forget()
            cpu_s += time.process_time() - began_s
            heard_ms += len(pcm) // BYTES_PER_MS
        round_number += 1
    say(
        f"{hits} times in {heard_ms / 60_000:.0f} minutes of other speech; CPU {1_000_000 * cpu_s / heard_ms:.1f} ms per second"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    head("the wake word")
    recall()
    false_accepts(minutes)
    mistaken()
