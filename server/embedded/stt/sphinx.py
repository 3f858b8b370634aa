"""The light engine: PocketSphinx with its wheel's model, if Whisper's parts are missing. Runs in a decoder process."""

from __future__ import annotations

import re

from pocketsphinx import Decoder

from server.embedded.stt.transcript import HeardWord, Job, Transcript

FRAME_MS = 10
_ALTERNATE = re.compile(r"\(\d+\)$")  # cmudict numbers alternative pronunciations: "for(2)"
_FILLER = re.compile(r"[<\[+].*")


class Sphinx:
    """One decoder over whole utterances."""

    def __init__(self) -> None:
        self._decoder = Decoder(loglevel="FATAL")

    def decode(self, jobs: list[Job]) -> list[Transcript]:
        """Transcripts in lower-case words; the vocabulary is ignored."""
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Transcript:
        self._decoder.start_utt()
        self._decoder.process_raw(job.pcm, full_utt=True)
        self._decoder.end_utt()
        if self._decoder.hyp() is None:
            return Transcript()
        words = tuple(
            HeardWord(
                _ALTERNATE.sub("", segment.word),
                segment.start_frame * FRAME_MS,
                (segment.end_frame + 1) * FRAME_MS,
                min(1.0, max(0.0, segment.prob)),
            )
            for segment in self._decoder.seg()
            if not _FILLER.match(segment.word)
        )
        kept = _promised_first(words, job.promised)
        return Transcript(" ".join(word.text for word in kept), kept if job.final else ())


def _promised_first(words: tuple[HeardWord, ...], promised: str) -> tuple[HeardWord, ...]:
    """The words, with the first ones spelled as promised."""
    texts = promised.split()
    ends_ms = words[-1].end_ms if words else 0
    filled = [*words, *(HeardWord("", ends_ms, ends_ms, 0.0) for _ in texts[len(words) :])]
    renamed = [
        HeardWord(text, word.start_ms, word.end_ms, word.confidence) for text, word in zip(texts, filled, strict=False)
    ]
    return (*renamed, *words[len(texts) :])
