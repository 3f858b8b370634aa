"""The results of `python -m server bench`, as text for people and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

PERCENTILES = (50, 95, 99, 100)
LATE_MS = 20.0  # a load generator with a p99 above one frame measures itself
FOLDED = str.maketrans(dict.fromkeys(".,;:!?\"'", ""))


def percentiles(values: list[float]) -> dict[str, float]:
    """Nearest-rank percentiles (p50, p95, p99, max), rounded to a tenth; empty without values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    ranks = {share: ordered[max(0, -(-share * len(ordered) // 100) - 1)] for share in PERCENTILES}
    return {"max" if share == 100 else f"p{share}": round(value, 1) for share, value in ranks.items()}


def words(text: str) -> list[str]:
    """The words in lower case, without punctuation."""
    return text.lower().translate(FOLDED).split()


def word_errors(heard: list[str], said: list[str]) -> int:
    """Number of words inserted, omitted or replaced (edit distance)."""
    row = list(range(len(heard) + 1))
    for count, word in enumerate(said, 1):
        above, row = row, [count]
        for index, candidate in enumerate(heard, 1):
            row.append(min(above[index] + 1, row[-1] + 1, above[index - 1] + (word != candidate)))
    return row[-1]


@dataclass(slots=True)
class Figures:
    """Results of all talkers and listeners in one run. Times in milliseconds."""

    talkers: int
    listeners: int
    seconds: float
    began: int = 0  # talkers that were admitted
    held: int = 0  # talkers that talked to the end
    frames: int = 0  # sent, 20 ms each
    waited: int = 0  # those of them that waited for credit
    utterances: int = 0  # spoken to their end
    transcripts: int = 0  # received for them
    words_said: int = 0
    words_wrong: int = 0
    speeches: int = 0  # requested
    speeches_heard: int = 0  # received completely
    final_ms: list[float] = field(default_factory=list)  # from the end of speech to its transcript
    audio_ms: list[float] = field(default_factory=list)  # from the text to the first frame of its speech
    round_trip_ms: list[float] = field(default_factory=list)  # of a ping alongside the audio
    late_ms: list[float] = field(default_factory=list)  # of the load generator itself
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        """True if everybody got what was requested."""
        return (
            self.held == self.talkers
            and not self.errors
            and self.transcripts >= self.utterances
            and self.speeches_heard == self.speeches
        )

    def compare(self, heard: str, said: str) -> None:
        """Count the words of one transcript."""
        expected = words(said)
        self.words_said += len(expected)
        self.words_wrong += word_errors(words(heard), expected)

    @property
    def words_right(self) -> float | None:
        """Share of correct words, 0 to 1; None if the words are unknown."""
        if not self.words_said:
            return None
        return round(max(0.0, 1 - self.words_wrong / self.words_said), 4)

    def as_dict(self) -> dict[str, Any]:
        """The results for JSON."""
        return {
            "talkers": self.talkers,
            "listeners": self.listeners,
            "seconds": self.seconds,
            "talkers_let_in": self.began,
            "talkers_held": self.held,
            "frames_sent": self.frames,
            "frames_that_waited_for_credit": self.waited,
            "utterances": self.utterances,
            "transcripts_missing": max(0, self.utterances - self.transcripts),
            "words_right": self.words_right,
            "speeches": self.speeches,
            "speeches_missing": self.speeches - self.speeches_heard,
            "end_of_speech_to_transcript_ms": percentiles(self.final_ms),
            "text_to_first_audio_ms": percentiles(self.audio_ms),
            "round_trip_ms": percentiles(self.round_trip_ms),
            "generator_late_ms": percentiles(self.late_ms),
            "errors": dict(self.errors),
        }

    def as_text(self) -> str:
        """The results as a table."""
        lost = max(0, self.utterances - self.transcripts)
        right = "not known" if self.words_right is None else f"{self.words_right:.1%}"
        lines = [
            f"talkers      {self.held} of {self.talkers} held for {self.seconds:.0f} s",
            f"frames       {self.frames} sent, {self.waited} waited for credit",
            f"transcripts  {self.transcripts} of {self.utterances} utterances, {lost} missing",
            f"words right  {right}",
            f"speech       {self.speeches_heard} of {self.speeches} came to their end",
            "",
            f"{'milliseconds':38}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}",
            _row("up: end of speech to its transcript", self.final_ms),
            _row("down: text to the first audio", self.audio_ms),
            _row("ping and pong beside the audio", self.round_trip_ms),
            _row("this load generator was late by", self.late_ms),
        ]
        lines += [f"error        {number} × {what}" for what, number in self.errors.most_common()]
        if percentiles(self.late_ms).get("p99", 0) > LATE_MS:
            lines.append(
                "This machine could not send in time: run fewer talkers, or several of these commands elsewhere."
            )
        return "\n".join(lines)


def _row(name: str, values: list[float]) -> str:
    found = percentiles(values)
    return f"{name:38}" + "".join(f"{value:9.1f}" for value in found.values()) if found else f"{name:38}{'none':>9}"
