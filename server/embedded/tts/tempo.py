"""Changes speech beyond the synthesiser's own speeds, at the same pitch: FFmpeg's atempo filter (WSOLA)."""

from __future__ import annotations

import av
import av.filter
from av.audio.frame import AudioFrame

SLOWEST_FACTOR = 0.5  # of one atempo stage
NEUTRAL = 0.02  # deviation from 1 that nobody hears


class Tempo:
    """16-bit mono PCM in and out; factor 2 is twice as fast."""

    def __init__(self, factor: float, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._graph = None if abs(factor - 1.0) < NEUTRAL else self._build(factor)

    def _build(self, factor: float) -> av.filter.Graph:
        graph = av.filter.Graph()
        last = graph.add_abuffer(sample_rate=self._rate_hz, format="s16", layout="mono")
        while factor < SLOWEST_FACTOR:
            stage = graph.add("atempo", str(SLOWEST_FACTOR))
            last.link_to(stage)
            last, factor = stage, factor / SLOWEST_FACTOR
        for name, arguments in (("atempo", f"{factor:.4f}"), ("aformat", "sample_fmts=s16:channel_layouts=mono")):
            stage = graph.add(name, arguments)
            last.link_to(stage)
            last = stage
        last.link_to(graph.add("abuffersink"))
        graph.configure()
        return graph

    def feed(self, pcm: bytes) -> bytes:
        """The samples that are ready."""
        if self._graph is None or not pcm:
            return pcm
        frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate = self._rate_hz
        frame.planes[0].update(pcm)
        self._graph.push(frame)
        return self._pull()

    def drain(self) -> bytes:
        """The remaining samples at the end."""
        if self._graph is None:
            return b""
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> bytes:
        assert self._graph is not None
        parts: list[bytes] = []
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return b"".join(parts)
            assert isinstance(frame, AudioFrame)
            parts.append(bytes(frame.planes[0])[: frame.samples * 2])
