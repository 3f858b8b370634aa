"""A natural voice: hibari-tts (Apache-2.0), distilled from Kokoro-82M, American English, 24 kHz, offline.

The network computes a spectrum of 12.5 ms frames and, internally, each phoneme's duration. The package's signal processing turns
the spectrum into sound. The durations are made an additional output, so word times are the model's own. The sound's noise has
a fixed seed and the network uses one thread, so that the same text always gives the same samples: another process can continue
a speech where this one stopped.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.embedded.service import MissingPartError
from server.embedded.tts.alignment import origins
from server.embedded.tts.engine import EngineVoice, Spoken, WordMark
from server.embedded.tts.onnx_outputs import with_float_output
from server.embedded.tts.word_edges import FRAME_MS, Edges, counted, heard, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

VERSION = "0.2.1"
SHA256 = {
    "hibari.onnx": "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
    "oov.onnx": "d3cfd8122c5f172a98c8de38268bf1213ee09f2c2ae4df6e055fc6532590fe76",
    "lexicon_us_gold.json.gz": "63ae94f8ef0e906d5b24fe9b59ffcbd1529aca5686a774610e43973cbaa86ad2",
    "lexicon_us_silver.json.gz": "c4c2546ebf1eb07010331e7ef785a431aa17ba8e7bfb6b4af8d654ee96a71fd3",
    "normalize.json": "d478ff05404bc43ac3e0468e306674e51085f1b1afc94cdef7c7ea4fb0d56bd8",
    "oov.json": "b462e6e5dbdf0e7346c732385d0dd844f612f1770871441c56932bff4ca75d8c",
    "tagger.json.gz": "d2da7502284bbbe45d49e0b7ce3ce67bdab82254150f4317f1b8559b4d38d0eb",
    "tokenizer_exceptions.json": "ddf3a3da07bdcf5144270ea4530191d8580fb4fd6f5ae93296e87916e795659a",
    "vocab.json": "70abefbe8a1c8865e43e0a43bbdc25b91a33e4aa053479d443ccf23e20a59e5d",
}
"""The files that the voice is made of, as in the wheel of VERSION."""

DURATIONS = "/Clip_output_0"  # value in the graph: number of units per phoneme id
UNIT_MS = 25  # two frames of 12.5 ms
MAX_PHONEMES = 400  # the package's limit for one run of the network
SLOWEST_SPEED, FASTEST_SPEED = 0.5, 2.0
PAUSES = frozenset(';:,.!?—…"()“” ')  # phonemes that are not part of a word
SEED = 0
GAIN = 1.8  # brings the voice to level.TARGET_RMS; its highest peaks stay below full scale
MAX_AMPLITUDE = 32_767
QUIET_RMS = 0.002  # of 1: 28 dB below the voice; it is far quieter between words
LEAD_MS, TAIL_MS = 20, 60  # silence kept around a piece; the network adds 0.3 s before and after
_OTHER_LETTER = re.compile(r"(?![ªµºÀ-ʯᴀ-ỿﬀ-ﬆ])[^\W\d_a-zA-Z]")  # not Latin
_OWN_READING = ("<super>", "<sub>", "<fraction>")  # of Unicode's decompositions: "²" is "squared", "½" "one half"
# Numbers too long to have a name (the package has some for 36 digits), codes like 0020, of which it would say twenty, and 4-4-1-7.
_DIGIT_BY_DIGIT = re.compile(r"\d(?:,?\d){18,}|(?<![\w.,:/-])(?:0\d{2,}|\d(?:-\d){2,})(?![\w:/-]|[.,]\d)")
_BELOW_ZERO = re.compile(r"(?<!\S)−(?=\d)")
_CURRENCY_LAST = re.compile(r"(?<![\w.,])(\d[\d.,]*) ?([€£¥₹])(?!\w)")
# Signs that the package would leave out.
_SIGNS = {"−": " minus ", "‑": "-", "≈": " about ", "≤": " less than or equal to ", "≥": " greater than or equal to "}
_SIGNS |= {"≠": " not equal to ", "∞": " infinity ", "√": " square root of ", "℃": "°C", "℉": "°F"}
_SIGNS |= {"İ": "I"}  # the only letter that is two in lower case, at which the package fails
_SIGN = re.compile("|".join(_SIGNS))
_JOINERS = "\u200c\u200d"  # within words of Persian and of Indian scripts
WARM_UP = "Warm: 1, 2; zyxt?"  # uses the lexicon, the numbers, and the network for unknown words


@dataclass(frozen=True, slots=True)
class Reading:
    """Phonemes in order, each with the index of its word, or None for a pause."""

    phonemes: str
    words: tuple[int | None, ...]


class Hibari:
    """Implements Engine with one voice. Thread-safe. Raises MissingPartError if the package is missing or another version."""

    name = "hibari"
    variants: tuple[str, ...] = ()
    voices = (EngineVoice("heart", "Heart", ((0, "en-us"), (1, "en")), "female"),)

    def __init__(self) -> None:
        package, runtime = _import("hibari"), _import("onnxruntime")
        self._numpy: Any = _import("numpy")
        self._dsp: Any = _import("hibari.dsp")
        assets = Path(package.__file__).parent / "assets"
        model = _verified(assets)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        changed = with_float_output(model, DURATIONS)
        self._network = runtime.InferenceSession(changed, options, providers=["CPUExecutionProvider"])
        self._ids: dict[str, int] = json.loads((assets / "vocab.json").read_text(encoding="utf-8"))
        self._normalize: Callable[[str], str] = _import("hibari.g2p.normalize").normalize
        self._g2p: Any = _import("hibari.g2p").G2P()
        self.sample_rate_hz = int(self._dsp.SR)
        self.at_once = max(2, os.cpu_count() or 2)
        self.say(WARM_UP, "heart", 1.0, lambda: True)

    def speaking_rate(self, speed: float) -> float:
        """The speed, limited to the network's range."""
        return min(FASTEST_SPEED, max(SLOWEST_SPEED, speed))

    def say(self, text: str, voice_id: str, speed: float, wanted: Callable[[], bool]) -> Spoken:  # noqa: ARG002 - it has one voice
        """Synthesise; see Engine. No audio if nothing in `text` can be said."""
        unsaid = self._unsaid(text)
        sayable = text
        for start, end in unsaid:  # the network would produce noise
            sayable = sayable[:start] + " " * (end - start) + sayable[end:]
        starts = _word_starts(sayable)
        pcm, marks = bytearray(), []
        for reading in _short(self._read(sayable)):
            if not wanted():
                break
            began_ms = len(pcm) * 500 / self.sample_rate_hz
            sound, edges = self._sound(reading, speed)
            marks += [WordMark(starts[each.word], began_ms + each.start_ms, began_ms + each.end_ms) for each in edges]
            pcm += sound
        return Spoken(bytes(pcm), tuple(marks), unsaid)

    def _unsaid(self, text: str) -> tuple[tuple[int, int], ...]:
        """From and to, of each word in another script. Some single letters are known: π, but not 水."""
        return tuple(
            (start, end)
            for start, end in _in_other_scripts(text)
            if end - start > 1 or not any(word is not None for word in self._read(text[start:end]).words)
        )

    def _read(self, text: str) -> Reading:
        """The text's pronunciation; empty if the package fails at it."""
        # The package takes [text](/phonemes/) for markup of its own.
        legible = _legible(text.replace("](", "] ("))
        for readable in (legible, "".join(map(_plain_digit, legible))):  # it tries to read ¹ or ፯ as an integer
            try:
                return self._pronounced(text, readable)
            except Exception as failed:  # noqa: BLE001 - its rules fail at odd texts with anything; another engine says those
                log.info("the voice hibari cannot read a text: %s", type(failed).__name__)
        return Reading("", ())

    def _pronounced(self, text: str, legible: str) -> Reading:
        normal = self._normalize(legible)
        from_, word_of = origins(text, normal), _word_of(text)
        phonemes, words, position, latest = "", [], 0, 0
        for token in self._g2p.phonemize_tokens(self._g2p.tokenize(normal)):
            indices = from_[position : position + len(token.text)]
            latest = next((max(latest, word_of[at]) for at in indices if not text[at].isspace()), latest)
            spoken = "".join(char for char in token.phonemes or "" if char in self._ids)
            phonemes += spoken + (" " if token.whitespace else "")
            words += [None if char in PAUSES else latest for char in spoken] + ([None] if token.whitespace else [])
            position += len(token.text) + len(token.whitespace)
        return Reading(phonemes, tuple(words))

    def _sound(self, reading: Reading, speed: float) -> tuple[bytes, list[Edges]]:
        """PCM, and the position of each word in it."""
        numpy = self._numpy
        ids = [0, *(self._ids[char] for char in reading.phonemes), 0]
        inputs = {"ids": numpy.asarray([ids], numpy.int64), "speed": numpy.asarray([speed], numpy.float32)}
        *spectrum, durations = self._network.run(None, inputs)
        wave = self._dsp.synth(*(part[0] for part in spectrum), numpy.random.default_rng(SEED))
        ends_ms = (numpy.cumsum(durations.reshape(-1)) * UNIT_MS).tolist()
        loud = self._loud(wave)
        first_ms, last_ms = loud.index(True) * FRAME_MS, (len(loud) - loud[::-1].index(True)) * FRAME_MS
        start_ms, per_ms = max(0, first_ms - LEAD_MS), self.sample_rate_hz // 1000
        kept = wave[start_ms * per_ms : (last_ms + TAIL_MS) * per_ms]
        scaled = numpy.clip(kept * (GAIN * MAX_AMPLITUDE), -MAX_AMPLITUDE, MAX_AMPLITUDE)
        edges = within(heard(counted(reading.words, ends_ms), loud, speed), first_ms, last_ms)
        return scaled.astype("<i2").tobytes(), [each.earlier_by(start_ms) for each in edges]

    def _loud(self, wave: Any) -> list[bool]:
        """For each frame, whether it has voice. At least one does, because with phonemes the network is never silent."""
        numpy = self._numpy
        size = self.sample_rate_hz * FRAME_MS // 1000
        frames = wave[: len(wave) // size * size].reshape(-1, size)
        rms = numpy.sqrt(numpy.mean(numpy.square(frames), axis=1))
        found: list[bool] = (rms > min(QUIET_RMS, float(rms.max()) / 2)).tolist()
        return found


def _short(reading: Reading) -> Iterator[Reading]:
    """Split a reading between words into parts that the network can take; parts without sound are dropped."""
    phonemes, words = reading.phonemes, reading.words
    while any(word is not None for word in words):
        space = phonemes.rfind(" ", 0, MAX_PHONEMES) + 1
        end = len(phonemes) if len(phonemes) <= MAX_PHONEMES else space or MAX_PHONEMES
        part = Reading(phonemes[:end].strip(), words[:end])
        if len(part.phonemes) < end:  # spaces at its edges
            lead = end - len(phonemes[:end].lstrip())
            part = Reading(part.phonemes, words[lead : lead + len(part.phonemes)])
        if any(word is not None for word in part.words):
            yield part
        phonemes, words = phonemes[end:], words[end:]


def _in_other_scripts(text: str) -> Iterator[tuple[int, int]]:
    """From and to, of letters next to each other that are not Latin, with their combining signs (हिन्दी has three)."""
    start = None
    for at, char in enumerate("" if text.isascii() else f"{text} "):
        if _OTHER_LETTER.match(_plain(char)):
            start = at if start is None else start
        elif start is not None and char not in _JOINERS and not unicodedata.category(char).startswith("M"):
            yield start, at
            start = None


def _plain(text: str) -> str:
    """Circled, full-width and mathematical letters and digits as plain ones: `①` is 1, `𝓗` is H."""
    return text if text.isascii() else "".join(map(_plain_char, text))


def _plain_char(char: str) -> str:
    made_of = unicodedata.decomposition(char)
    if not char.isalnum() or not made_of.startswith("<") or made_of.startswith(_OWN_READING):
        return char
    plain = unicodedata.normalize("NFKC", char)
    return plain if plain.isascii() else char


def _plain_digit(char: str) -> str:
    """A digit that is no decimal one as one of ours, if it is one of those raised or circled; else a space."""
    if char.isdecimal() or not char.isdigit():
        return char
    plain = unicodedata.normalize("NFKC", char)
    return plain if plain.isascii() else " "


def _legible(text: str) -> str:
    """The text in signs that the package can read, with spaces between digits that are read one by one."""
    if not text.isascii():
        signs = _CURRENCY_LAST.sub(r"\2\1", _BELOW_ZERO.sub("-", _plain(text)))
        text = _SIGN.sub(lambda sign: _SIGNS[sign[0]], signs)
    return _DIGIT_BY_DIGIT.sub(lambda number: " ".join(filter(str.isdigit, number[0])), text)


def _word_starts(text: str) -> list[int]:
    """Where the whitespace-separated words begin."""
    return [at for at, char in enumerate(text) if not char.isspace() and (at == 0 or text[at - 1].isspace())]


def _word_of(text: str) -> list[int]:
    """For each character, the index of its word, or of the previous one."""
    found, word = [], -1
    for at, char in enumerate(text):
        if not char.isspace() and (at == 0 or text[at - 1].isspace()):
            word += 1
        found.append(max(0, word))
    return found


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        raise MissingPartError(
            f"the voice hibari is missing ({missing.name}): pip install 'jarvis-gateway[voice]'"
        ) from None


def _verified(assets: Path) -> bytes:
    """The network's file, if all files are those that this code was written for. Raises MissingPartError."""
    for name, expected in SHA256.items():
        content = (assets / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != expected:
            raise MissingPartError(f"{assets / name} is not the one of hibari-tts {VERSION}: it is not loaded")
    return (assets / "hibari.onnx").read_bytes()
