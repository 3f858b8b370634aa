"""Decoding one utterance with two PocketSphinx decoders, in a worker process: every call here holds the GIL.

Both stream while somebody speaks, so that little is left to do at the end. A decoder that knows the cepstral mean of the
voice streams as well as one that gets the whole utterance at once; therefore the mean is taken from the first second, both
start again with it, and later utterances of the stream begin with it at once.
"""

from __future__ import annotations

import math
import re
import tempfile
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketsphinx import Decoder

from server.embedded.stt.language import DomainModel, domain_model
from server.embedded.stt.transcript import FRAME_MS, Heard, HeardWord, Hypothesis

if TYPE_CHECKING:
    from collections.abc import Iterable

BYTES_PER_MS = 32  # 16 kHz, 16 bit
MEAN_AUDIO_BYTES = 1000 * BYTES_PER_MS
LONG_MEAN_AUDIO_BYTES = 3000 * BYTES_PER_MS  # of a finished utterance, for the stream's next one
MAX_DOMAIN_MODELS = 4  # kept per worker: streams of one application mostly bring the same vocabulary
HARDLY_HEARD = 0.6  # posterior probability
INITIAL_MEAN = "40,3,-1"  # PocketSphinx's own (`cmninit`)

_ALTERNATE = re.compile(r"\(\d+\)$")
_FILLER = re.compile(r"[<\[+].*")


def forget_noise(decoder: Decoder) -> None:
    """Of whoever was heard last. PocketSphinx calls that unnecessary, as for itself a decoder hears one stream only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        decoder.start_stream()


class DecoderPass:
    """One decoder over one utterance, streaming."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._running = False
        self.begun = False

    def begin(self, mean: str) -> None:
        """Start (again) from nothing, with this cepstral mean."""
        self.stop()
        forget_noise(self._decoder)
        self._decoder.set_cmn(mean)
        self._decoder.start_utt()
        self._running = self.begun = True

    def feed(self, pcm: bytes) -> None:
        """Decode more."""
        if pcm:
            self._decoder.process_raw(pcm)

    def stop(self) -> None:
        """No more audio: second and third pass over what was heard."""
        if self._running:
            self._decoder.end_utt()
            self._running = False

    def discard(self) -> None:
        """Free for the next utterance."""
        self.stop()
        self.begun = False

    def hypothesis(self) -> Hypothesis:
        """What it hears so far, times from the utterance's beginning."""
        hypothesis = self._decoder.hyp()
        if hypothesis is None or hypothesis.score <= 0:
            return Hypothesis()
        return Hypothesis(self._words(), 1e4 * math.log(hypothesis.score))

    def _words(self) -> tuple[HeardWord, ...]:
        return tuple(
            HeardWord(
                _ALTERNATE.sub("", segment.word),
                segment.start_frame * FRAME_MS,
                (segment.end_frame + 1) * FRAME_MS,
                min(1.0, max(0.0, segment.prob)),
            )
            for segment in self._decoder.seg()
            if not _FILLER.match(segment.word)
        )


def _decoder(**settings: Any) -> Decoder:
    return Decoder(loglevel="FATAL", **settings)


def _domain_decoder(model: DomainModel) -> Decoder:
    with tempfile.TemporaryDirectory(prefix="jarvis-stt-") as directory:
        dictionary, trigrams = Path(directory) / "domain.dict", Path(directory) / "domain.arpa"
        dictionary.write_text(model.dictionary, encoding="utf-8")
        trigrams.write_text(model.arpa, encoding="utf-8")
        return _decoder(dict=str(dictionary), lm=str(trigrams))


def without_afterthought(hypothesis: Hypothesis, model: DomainModel) -> Hypothesis:
    """Without a last word that is hardly heard and that no sentence of the domain goes on with: "… is blue" + "you"."""
    if len(hypothesis.words) < 2:
        return hypothesis
    *_, before, last = hypothesis.words
    if last.confidence < HARDLY_HEARD and model.may_end_before(before.text, last.text):
        return Hypothesis(hypothesis.words[:-1], hypothesis.score)
    return hypothesis


class SpeechModels:
    """The decoders of one worker; each belongs to one utterance at a time and is then used again."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[str, ...], DomainModel] = OrderedDict()
        self._free_domain: dict[tuple[str, ...], list[Decoder]] = {}
        self._free_full: list[Decoder] = []
        # once a decoder has streamed it normalises by the running mean for ever: the one that computes means must not
        self._mean = _domain_decoder(self.model(()))

    def warm(self) -> None:
        """Load what the first utterance needs."""
        self.give_back((), self.domain(()), self.full())

    def domain(self, vocabulary: tuple[str, ...]) -> Decoder:
        """A decoder of the domain model with these phrases."""
        free = self._free_domain.get(vocabulary)
        return free.pop() if free else _domain_decoder(self.model(vocabulary))

    def full(self) -> Decoder:
        """A decoder of the general model: 0.3 s to load and some 110 MB, so they are kept."""
        return self._free_full.pop() if self._free_full else _decoder()

    def give_back(self, vocabulary: tuple[str, ...], domain: Decoder, full: Decoder) -> None:
        """For the next utterance."""
        if vocabulary in self._models:
            self._free_domain.setdefault(vocabulary, []).append(domain)
        self._free_full.append(full)

    def mean(self, pcm: bytes) -> str:
        """Cepstral mean of the audio."""
        forget_noise(self._mean)
        self._mean.start_utt()
        self._mean.process_raw(pcm, no_search=True, full_utt=True)
        self._mean.end_utt()
        return str(self._mean.get_cmn(False))

    def model(self, vocabulary: tuple[str, ...]) -> DomainModel:
        """The domain's, with the caller's phrases."""
        if vocabulary not in self._models:
            self._models[vocabulary] = domain_model(vocabulary)
            oldest = next((key for key in self._models if key), None)  # the plain one stays
            if len(self._models) > MAX_DOMAIN_MODELS and oldest is not None:
                del self._models[oldest]
                self._free_domain.pop(oldest, None)
        self._models.move_to_end(vocabulary)
        return self._models[vocabulary]


class Utterance:
    """One utterance, from its first samples to its transcript."""

    def __init__(self, models: SpeechModels, vocabulary: Iterable[str], mean: str) -> None:
        self._models = models
        self._vocabulary = tuple(vocabulary)
        self._model = models.model(self._vocabulary)
        self._decoders = models.domain(self._vocabulary), models.full()
        self._domain, self._full = (DecoderPass(decoder) for decoder in self._decoders)
        self._mean = mean
        self.pcm = bytearray()

    def feed(self, pcm: bytes, *, paused: bool = False) -> Heard:
        """Decode more; what is heard so far. In a pause all that may matter is there: a short word waits for no full second."""
        self.pcm += pcm
        if not self._full.begun and (paused or self._mean or len(self.pcm) >= MEAN_AUDIO_BYTES):
            self._begin_with_mean()
        elif not self._domain.begun:
            self._domain.begin(INITIAL_MEAN)
            self._domain.feed(pcm)
        else:
            self._domain.feed(pcm)
            if self._full.begun:
                self._full.feed(pcm)
        return self._heard()

    def _begin_with_mean(self) -> None:
        mean, pcm = self._mean or self._models.mean(bytes(self.pcm[:MEAN_AUDIO_BYTES])), bytes(self.pcm)
        for decoder in (self._domain, self._full):
            decoder.begin(mean)
            decoder.feed(pcm)

    def finish(self) -> Heard:
        """The end of the audio: both decoders' last word."""
        if not self.pcm:
            return Heard(Hypothesis())
        if not self._full.begun:
            self._begin_with_mean()
        self._domain.stop()
        self._full.stop()
        return self._heard()

    def _heard(self) -> Heard:
        domain = without_afterthought(self._domain.hypothesis(), self._model)
        return Heard(domain, self._full.hypothesis() if self._full.begun else None)

    def learned_mean(self) -> str:
        """For the stream's next utterance."""
        return self._models.mean(bytes(self.pcm[:LONG_MEAN_AUDIO_BYTES]))

    def discard(self) -> None:
        """Give the decoders back, whatever state they are in."""
        for decoder in (self._domain, self._full):
            decoder.discard()
        self._models.give_back(self._vocabulary, *self._decoders)
