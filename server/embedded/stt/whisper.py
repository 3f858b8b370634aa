"""Whisper by CTranslate2 over short windows. Runs in a decoder process.

Whisper was trained on 30 s windows, and encoding one takes 0.6 s of a core. A window with the utterance and some seconds of silence
takes a tenth of that, but the decoder may then fail to stop and repeat the phrase. So repeats are cut off, and a final whose text
repeated is doubtful: it is decoded again in a longer window, and in the full one if it repeats there too. In any window it may also stop in
the middle of digits; without time stamps in its text it does not. docs/SPEECH.md has the comparison from which the constants are taken.
"""

from __future__ import annotations

import importlib
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from server.embedded.stt.audio import BYTES_PER_SAMPLE, RATE_HZ
from server.embedded.stt.dictation import with_codes_whole
from server.embedded.stt.repeats import cleaned, without_repeats
from server.embedded.stt.transcript import HeardWord, Job, Transcript, begins_with

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WINDOW_S = 30  # the model's training window
FINAL_PADDING_S, PARTIAL_PADDING_S, CLOSER_PADDING_S = 4, 2, 8
FINAL_WINDOW_S = 6  # at least, so that a short word is more certain
# Silence before a final's audio, because the model was trained on speech that seldom begins at once. Not before short ones, whose
# words it would make less certain: "stop" has a confidence of 0.5 without it and 0.3 with it.
LEAD_MS, LEAD_FROM_MS = 300, 1000
REPETITION_PENALTY = 1.05  # so that it stops instead of repeating the phrase; 1.1 begins to change words
MIN_TOKENS, TOKENS_PER_S = 8, 6  # fast speech has some five tokens per second
# Mean log probabilities per token. Correct short commands go down to -1.6 ("cancel"); white noise starts at -1.9.
UNSURE_LOG_PROBABILITY = -1.7  # a less certain final is decoded again in a longer window
NO_WORDS_LOG_PROBABILITY = -1.8  # below this, the words are guesses
NO_SPEECH, NO_SPEECH_LOG_PROBABILITY = 0.6, -0.8  # both together mean no speech; correct commands stay below 0.42
# Words are missing where more time is left behind the last word, or a word takes more than this.
UNHEARD_MS = 500
WORD_MS, LETTER_MS, DIGIT_MS = 1200, 100, 450  # "$4.99." slowly said takes 2.2 s, "three," with its pause 1.5 s
HOP_MS, TOKEN_MS = 10, 20  # of a feature frame, of the encoder's output
HOP_SAMPLES = HOP_MS * RATE_HZ // 1000
SILENCE_SAMPLES = 6 * HOP_SAMPLES  # behind these, a frame of 25 ms has silence only
PROMPT_TOKENS = 100  # each takes as long as 15 ms of sound; 200 doubled the time of a short final
# What Whisper, trained on subtitles, writes for breath and noise. Kept if its probability is high.
SUBTITLES = re.compile(r"(you|thank you|thanks for watching|bye|so|the|i'm sorry|subtitles by .*)[.!]*", re.IGNORECASE)
SURE_LOG_PROBABILITY = -0.9


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One decode: text tokens, cleaned words, and measures of their credibility."""

    tokens: list[int]
    words: list[str]
    log_probability: float
    no_speech: float
    repeated: bool  # it repeated itself, or did not end

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def is_to_be_doubted(self) -> bool:
        """Whether a longer window may show something else."""
        return self.repeated or self.no_speech > NO_SPEECH or self.log_probability < UNSURE_LOG_PROBABILITY

    @property
    def is_speech(self) -> bool:
        """True if these words were probably said."""
        if self.log_probability < NO_WORDS_LOG_PROBABILITY:
            return False
        if self.no_speech > NO_SPEECH and self.log_probability < NO_SPEECH_LOG_PROBABILITY:
            return False
        return self.log_probability >= SURE_LOG_PROBABILITY or not SUBTITLES.fullmatch(self.text)


_Seen = tuple[Job, _Decoded, Transcript]  # the transcript has the times of the words


class Whisper:
    """A loaded model; int8 on the CPU with one thread, as there are as many processes as cores."""

    def __init__(self, folder: Path) -> None:
        ctranslate2: Any = importlib.import_module("ctranslate2")
        tokenizers: Any = importlib.import_module("tokenizers")
        features: Any = importlib.import_module("faster_whisper.feature_extractor")
        tokenizer: Any = importlib.import_module("faster_whisper.tokenizer")
        self._view = ctranslate2.StorageView.from_array
        self._model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="int8", intra_threads=1)
        self._features = features.FeatureExtractor(feature_size=self._model.n_mels)
        multilingual = bool(self._model.is_multilingual)
        self._tokenizer = tokenizer.Tokenizer(
            tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")),
            multilingual,
            **({"task": "transcribe", "language": "en"} if multilingual else {}),
        )
        self._start: list[int] = self._tokenizer.sot_sequence

    def decode(self, jobs: list[Job]) -> list[Transcript]:
        """Transcripts of utterances with the same vocabulary and of one kind (partial, final or closer), encoded in one call."""
        if not jobs[0].final:
            decoded = self._written(self._encoded(jobs, PARTIAL_PADDING_S), jobs, PARTIAL_PADDING_S)
            return [Transcript(one.text if one.is_speech else "") for one in decoded]
        seen = self._seen(jobs, CLOSER_PADDING_S if jobs[0].closer else _final_padding_s(jobs))
        if jobs[0].closer and any(_is_to_be_doubted(*row) for row in seen):
            seen = [_fuller(*rows) for rows in zip(seen, self._seen(jobs, WINDOW_S), strict=True)]
        return [self._settled(*row) for row in seen]

    def _seen(self, jobs: list[Job], padding_s: int, beginning: str = "") -> list[_Seen]:
        """The jobs, decoded in one window, with the times of the words; written once more without time stamps if words are missing."""
        encoded = self._encoded(jobs, padding_s)
        decoded = self._written(encoded, jobs, padding_s, beginning)
        seen = list(zip(jobs, decoded, self._timed(encoded, jobs, decoded), strict=True))
        if not any(_misses_words(job, timed) for job, _, timed in seen):
            return seen
        decoded = self._written(encoded, jobs, padding_s, beginning, stamped=False)
        again = zip(jobs, decoded, self._timed(encoded, jobs, decoded), strict=True)
        return [
            other if _misses_words(job, timed) and not _misses_words(job, other[2]) else (job, one, timed)
            for (job, one, timed), other in zip(seen, again, strict=True)
        ]

    def _settled(self, job: Job, decoded: _Decoded, timed: Transcript) -> Transcript:
        """The final, decoded again if it breaks a promise."""
        if not job.closer and _is_to_be_doubted(job, decoded, timed):
            seen = timed if decoded.is_speech else Transcript()
            # the comma before a repetition that was cut says nothing about what follows
            return replace(seen, text=seen.text.rstrip(",") if decoded.repeated else seen.text, doubtful=True)
        if job.promised and not begins_with(decoded.text, job.promised):
            ((_, _, timed),) = self._seen([job], _final_padding_s([job]), job.promised)
            return timed
        return timed if decoded.is_speech else Transcript()

    # --- one window ---

    def _encoded(self, jobs: list[Job], padding_s: int) -> Any:
        """The audio followed by `padding_s` of silence, together at most 30 s."""
        n_samples = _window_samples(jobs, padding_s)
        return self._model.encode(self._view(np.stack([self._mel(_samples(job), n_samples) for job in jobs])))

    def _written(
        self, encoded: Any, jobs: list[Job], padding_s: int, beginning: str = "", *, stamped: bool = True
    ) -> list[_Decoded]:
        """What the decoder writes to it. `stamped`: with time stamps, with which it repeats itself less."""
        prompt = [*self._hint(jobs[0].vocabulary), *self._start]
        if not stamped:
            prompt.append(self._tokenizer.no_timestamps)
        elif beginning:
            prompt.append(self._tokenizer.timestamp_begin)
        if beginning:
            prompt += self._tokenizer.encode(f" {beginning}")
        n_tokens = MIN_TOKENS + math.ceil(TOKENS_PER_S * _longest_samples(jobs) / RATE_HZ)
        results = self._model.generate(
            encoded,
            [prompt] * len(jobs),
            beam_size=1,
            repetition_penalty=REPETITION_PENALTY,
            max_length=min(448, 2 * n_tokens + len(prompt)),  # half of it is for the output
            return_scores=True,
            return_no_speech_prob=True,
        )
        # in the full window, a repetition was really said
        may_repeat = _window_samples(jobs, padding_s) == WINDOW_S * RATE_HZ
        return [self._read(result, n_tokens, may_repeat=may_repeat) for result in results]

    def _mel(self, samples: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
        """Features [mels, frames], with an even number of frames because the encoder halves it.

        All frames of the silence behind the audio are equal, so only its beginning is transformed.
        """
        n_frames = n_samples // HOP_SAMPLES
        n_heard = min(n_samples, len(samples) + SILENCE_SAMPLES)
        padded = np.pad(samples[:n_heard], (0, max(0, n_heard - len(samples))))
        mel: NDArray[np.float32] = self._features(padded, padding=0)
        return np.pad(mel, ((0, 0), (0, n_frames + n_frames % 2 - mel.shape[1])), mode="edge").astype(np.float32)

    def _hint(self, vocabulary: tuple[str, ...]) -> list[int]:
        """The vocabulary, as if it had been said before."""
        if not vocabulary:
            return []
        tokens: list[int] = self._tokenizer.encode(" " + ", ".join(vocabulary))
        return [self._tokenizer.sot_prev, *tokens[:PROMPT_TOKENS]]

    def _read(self, result: Any, n_tokens: int, *, may_repeat: bool) -> _Decoded:
        ids: list[int] = result.sequences_ids[0]
        tokens = [token for token in ids if token < self._tokenizer.eot]
        written = [word for word, _ in self._split(tokens)]
        unended = len(ids) >= n_tokens
        words, repeated = (written, False) if may_repeat and not unended else without_repeats(written)
        kept = cleaned(" ".join(words)).split()
        return _Decoded(tokens, kept, float(result.scores[0]), float(result.no_speech_prob), repeated or unended)

    def _split(self, tokens: list[int]) -> list[tuple[str, list[int]]]:
        """Words with their tokens; a token with a leading space starts a word."""
        groups: list[list[int]] = []
        for token in tokens:
            if groups and not str(self._tokenizer.decode([token])).startswith(" "):
                groups[-1].append(token)
            else:
                groups.append([token])
        words = [(str(self._tokenizer.decode(group)).strip(), group) for group in groups]
        return with_codes_whole([(word, group) for word, group in words if word])

    # --- word times ---

    def _timed(self, encoded: Any, jobs: list[Job], decoded: list[_Decoded]) -> list[Transcript]:
        """Times and probabilities of the words, from the decoder's attention."""
        spans = [_kept(self._split(one.tokens), one.words) for one in decoded]
        tokens = [[token for _, group in split for token in group] for split in spans]
        if not any(tokens):
            return [Transcript() for _ in jobs]
        lengths_ms, leads_ms = [_length_ms(job) for job in jobs], [_lead_ms(job) for job in jobs]
        frames = [max(2, (lead + length) // HOP_MS) for lead, length in zip(leads_ms, lengths_ms, strict=True)]
        filled = [one or [self._tokenizer.encode(".")[0]] for one in tokens]
        prompt = [*self._hint(jobs[0].vocabulary), *self._start]
        found = self._model.align(encoded, prompt, filled, frames)
        return [_transcript(*row) for row in zip(spans, found, leads_ms, lengths_ms, strict=True)]


def _fuller(near: _Seen, full: _Seen) -> _Seen:
    """What the full window shows, unless only missing words were looked for, and it has even fewer."""
    (_, sure, more), (_, _, other) = near, full
    return near if not sure.is_to_be_doubted and _n_characters(more.text) > _n_characters(other.text) else full


def _n_characters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _is_to_be_doubted(job: Job, decoded: _Decoded, timed: Transcript) -> bool:
    return decoded.is_to_be_doubted or _misses_words(job, timed)


def _misses_words(job: Job, timed: Transcript) -> bool:
    """True if there are words, and sound in which there is none: a job's audio ends where its speech does."""
    words = timed.words
    late = bool(words) and _length_ms(job) - words[-1].end_ms > UNHEARD_MS
    return late or any(word.end_ms - word.start_ms > _most_ms(word.text) for word in words)


def _most_ms(word: str) -> int:
    return WORD_MS + LETTER_MS * sum(map(str.isalpha, word)) + DIGIT_MS * sum(map(str.isdigit, word))


def _longest_samples(jobs: list[Job]) -> int:
    return max(_lead_ms(job) * RATE_HZ // 1000 + len(job.pcm) // BYTES_PER_SAMPLE for job in jobs)


def _window_samples(jobs: list[Job], padding_s: int) -> int:
    return min(_longest_samples(jobs) + padding_s * RATE_HZ, WINDOW_S * RATE_HZ)


def _length_ms(job: Job) -> int:
    return len(job.pcm) // (BYTES_PER_SAMPLE * RATE_HZ // 1000)


def _final_padding_s(jobs: list[Job]) -> int:
    return max(FINAL_PADDING_S, math.ceil(FINAL_WINDOW_S - max(map(_length_ms, jobs)) / 1000))


def _lead_ms(job: Job) -> int:
    """The silence before a job's audio."""
    return LEAD_MS if job.final and _length_ms(job) >= LEAD_FROM_MS else 0


def _samples(job: Job) -> NDArray[np.float32]:
    """A job's audio, from -1 to 1, after its silence."""
    heard = np.divide(np.frombuffer(job.pcm, np.int16), 32768, dtype=np.float32)
    return np.pad(heard, (_lead_ms(job) * RATE_HZ // 1000, 0))


def _kept(split: list[tuple[str, list[int]]], words: list[str]) -> list[tuple[str, list[int]]]:
    """The pairs whose words are left after cleaning, in order."""
    left = iter(split)
    return [pair for word in words for pair in [next((one for one in left if one[0] == word), None)] if pair]


def _transcript(split: list[tuple[str, list[int]]], alignment: Any, lead_ms: int, length_ms: int) -> Transcript:
    if not split:
        return Transcript()
    starts_ms: dict[int, int] = {}
    for token, step in alignment.alignments:
        starts_ms.setdefault(token, min(max(0, step * TOKEN_MS - lead_ms), length_ms))
    words, first = [], 0
    for text, group in split:
        behind = first + len(group)
        start_ms = starts_ms.get(first, length_ms)
        probabilities = alignment.text_token_probs[first:behind]
        probability = float(sum(probabilities) / len(probabilities)) if probabilities else 0.0
        words.append(HeardWord(text, start_ms, max(start_ms, starts_ms.get(behind, length_ms)), min(1.0, probability)))
        first = behind
    return Transcript(" ".join(word.text for word in words), tuple(words))
