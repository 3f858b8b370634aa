"""One stream inside a worker: endpointing, interim transcripts, and the final one by two decoders.

The domain decoder knows the agent's own sentences and is quick: it runs along while somebody speaks. At the end both it and
the general one read the whole utterance again (their cepstral mean has settled by then), and the domain's text is taken
unless the general decoder explains the sound clearly better. Scores are per frame, as 1e4 times the natural logarithm.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pocketsphinx import Decoder, Vad, get_model_path

from server.embedded.stt.endpoint import FRAME_MS, Change, Endpointer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.embedded.stt.endpoint import Utterance
    from server.embedded.stt.model import DomainModel

RATE_HZ = 16_000
FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2
STABLE_FRAMES = 3  # an interim text that stood so long is told; shorter ones flicker
# measured on recordings: in-domain speech scores within this of the general decoder, other speech below it
DOMAIN_MARGIN = 0.5
TAIL_MS = 150  # silence kept behind the last voice: more of it makes the general decoder hear words
MAX_CONFIDENCE = 0.99
FILLERS = ("<", "[", "++")

Event = dict[str, Any]


def quiet_decoder(**options: Any) -> Decoder:
    """A decoder that writes no log."""
    return Decoder(samprate=RATE_HZ, loglevel="FATAL", **options)


def domain_decoder(model: DomainModel) -> Decoder:
    """For the agent's own sentences."""
    return quiet_decoder(lm=str(model.language_model), dict=str(model.dictionary))


def general_decoder() -> Decoder:
    """For anything in English: the model inside the wheel."""
    return quiet_decoder(lm=get_model_path("en-us/en-us.lm.bin"), dict=get_model_path("en-us/cmudict-en-us.dict"))


class Hearing:
    """What a decoder made of an utterance: text, score a frame, words with times."""

    def __init__(self, decoder: Decoder, pcm: bytes) -> None:
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        self.text = hypothesis.hypstr if hypothesis else ""
        n_frames = max(1, decoder.n_frames())
        self.score = 1e4 * math.log(hypothesis.score) / n_frames if hypothesis and hypothesis.score > 0 else -math.inf
        self.probability = hypothesis.prob if hypothesis else 0.0
        self.words = [
            (segment.word.partition("(")[0], segment.start_frame * 10, (segment.end_frame + 1) * 10)
            for segment in decoder.seg()
            if not segment.word.startswith(FILLERS)
        ]


class Recogniser:
    """`feed` PCM of 16 kHz, get events: dicts with a `kind` and the fields of the proto's message."""

    def __init__(self, domain: Decoder, general: Decoder, *, interim: bool, endpointing: bool) -> None:
        self._domain = domain
        self._general = general
        self._interim = interim
        self._endpointer = Endpointer(Vad(Vad.STRICT, RATE_HZ, FRAME_MS / 1000), automatic=endpointing)
        self._rest = bytearray()
        self._decoding = False
        self._told = ""
        self._candidate, self._stood = "", 0

    def feed(self, pcm: bytes) -> Iterator[Event]:
        """Some audio."""
        self._rest += pcm
        while len(self._rest) >= FRAME_BYTES:
            frame = bytes(self._rest[:FRAME_BYTES])
            del self._rest[:FRAME_BYTES]
            yield from self._frame(frame)

    def commit(self) -> Iterator[Event]:
        """The utterance ends here."""
        if self._endpointer.utterance is not None:
            yield from self._end()

    def end(self) -> Iterator[Event]:
        """No more audio."""
        if self._rest:
            yield from self._frame(bytes(self._rest).ljust(FRAME_BYTES, b"\0"))
            self._rest.clear()
        yield from self.commit()

    def close(self) -> None:
        """Leave the domain decoder as the next stream wants it."""
        if self._decoding:
            self._domain.end_utt()
            self._decoding = False

    def _frame(self, frame: bytes) -> Iterator[Event]:
        change = self._endpointer.feed(frame)
        utterance = self._endpointer.utterance
        if change is Change.STARTED and utterance is not None:
            yield {"kind": "speech_started", "at_ms": utterance.start_ms}
            self._begin(bytes(utterance.pcm))
        elif utterance is not None:
            yield from self._along(frame)
        if change is Change.EAGER_END and self._told and utterance is not None:
            yield {"kind": "eager_end", "at_ms": utterance.voiced_until_ms, "text": self._told}
        elif change is Change.RESUMED:
            yield {"kind": "speech_resumed", "at_ms": self._endpointer.at_ms}
        elif change is Change.ENDED:
            yield from self._end()

    def _begin(self, pcm: bytes) -> None:
        self._told = self._candidate = ""
        self._domain.start_utt()
        self._decoding = True
        self._domain.process_raw(pcm)

    def _along(self, frame: bytes) -> Iterator[Event]:
        self._domain.process_raw(frame)
        hypothesis = self._domain.hyp()
        text = hypothesis.hypstr if hypothesis else ""
        self._stood = self._stood + 1 if text == self._candidate else 1
        self._candidate = text
        if self._stood == STABLE_FRAMES and text and text != self._told:
            self._told = text
            if self._interim:
                # the final is decoded anew and may differ from the first letter on: nothing is promised
                yield {"kind": "partial", "text": text, "stable_chars": 0}

    def _end(self) -> Iterator[Event]:
        utterance = self._endpointer.finish()
        self.close()
        assert utterance is not None, "only called inside an utterance"
        yield {"kind": "speech_stopped", "at_ms": utterance.voiced_until_ms}
        yield self._final(utterance)

    def _final(self, utterance: Utterance) -> Event:
        kept_ms = utterance.voiced_until_ms - utterance.start_ms + TAIL_MS
        pcm = bytes(utterance.pcm[: kept_ms * RATE_HZ // 1000 * 2])
        domain, general = Hearing(self._domain, pcm), Hearing(self._general, pcm)
        heard = domain if domain.text and domain.score >= general.score - DOMAIN_MARGIN else general
        return {
            "kind": "final",
            "text": " ".join(word for word, _, _ in heard.words),
            "confidence": _confidence(heard, domain, general),
            "start_ms": utterance.start_ms,
            "end_ms": utterance.voiced_until_ms,
            "words": [(word, utterance.start_ms + start, utterance.start_ms + end) for word, start, end in heard.words],
        }


def _confidence(heard: Hearing, domain: Hearing, general: Hearing) -> float:
    """High when both decoders hear the same; else by how far the two scores are apart."""
    if not heard.words:
        return 0.0
    if domain.text == general.text:
        return MAX_CONFIDENCE
    apart = abs(domain.score - general.score)
    return round(min(MAX_CONFIDENCE, 0.5 + 0.4 * (1 - math.exp(-apart))), 2)
