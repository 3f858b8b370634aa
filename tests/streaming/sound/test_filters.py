"""Audio and acts through the filters when much of both comes at once, faster than it is filtered."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from streaming.sound.echo import BLOCK_BYTES, EchoFilter, FarEnd
from streaming.sound.wake import Attention, WakeGate

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.sound.filters import AudioFilter

# Samples fed before each act, some in no whole blocks; None: an act.
AT_ONCE = (700, 333, None, 160, None, None, 77, 5_000, None, 11, 3_000, None)


class SameSound(FarEnd):
    """Plays what the microphone records."""

    def __init__(self, recorded: bytes) -> None:
        super().__init__()
        self._recorded = recorded

    silent = False

    def take(self, n_bytes: int) -> bytes:
        taken, self._recorded = self._recorded[:n_bytes], self._recorded[n_bytes:]
        return taken


class NowAndThen(FarEnd):
    """Plays silence, or nothing, in turn."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = itertools.cycle([True, True, False, False, False])

    @property
    def silent(self) -> bool:
        return next(self._turns)


class Holding:
    """Stands for the canceller: changes nothing, and holds back two blocks while the far end sounds. Its calls block."""

    def __init__(self, far_end: FarEnd) -> None:
        self._far_end = far_end
        self._held = b""

    def process(self, near: bytes, far: bytes) -> bytes:
        assert near == far or isinstance(self._far_end, NowAndThen), "they are of the same time"
        assert len(near) % BLOCK_BYTES == 0
        held = self._held + near
        n_through = max(0, len(held) - 2 * BLOCK_BYTES) if any(far) else len(held)
        self._held = held[n_through:]
        return held[:n_through]

    @property
    def resting(self) -> bool:
        return not self._held

    def rest(self) -> bytes:
        assert threading.current_thread() is not threading.main_thread(), "no other session waits for it"
        rest, self._held = self._held, b""
        return rest


class Word:
    """Stands for the model: is said at once."""

    def heard(self, pcm: bytes) -> bool:
        return bool(pcm)

    def forget(self) -> None:
        pass


def numbered(n_samples: int) -> bytes:
    """No two samples are alike."""
    return b"".join(at.to_bytes(2, "little") for at in range(1, n_samples + 1))


ALL = numbered(sum(n for n in AT_ONCE if n is not None))


def echo(send: Callable[[bytes], None], far_end: FarEnd | None = None) -> EchoFilter:
    far_end = far_end or SameSound(ALL)
    made = EchoFilter(far_end, send)
    made._canceller = Holding(far_end)  # type: ignore[assignment] # stands for AEC3, which changes the samples
    return made


def echo_now_and_then(send: Callable[[bytes], None]) -> EchoFilter:
    return echo(send, NowAndThen())


def echo_never(send: Callable[[bytes], None]) -> EchoFilter:
    return echo(send, FarEnd())


def gate(send: Callable[[bytes], None]) -> WakeGate:
    return WakeGate(Attention(lambda: False, lambda: False), send, Word())  # type: ignore[arg-type] # stands for the model


@pytest.mark.parametrize("make", [echo, echo_now_and_then, echo_never, gate])
@pytest.mark.parametrize("late", range(len(AT_ONCE)))
async def test_an_act_comes_after_the_audio_before_it_and_before_the_rest(
    make: Callable[[Callable[[bytes], None]], AudioFilter], late: int
) -> None:
    """`late`: what comes at once, of `AT_ONCE`, before the filter runs; the others come one by one, while it does."""
    through, at_acts, fed = bytearray(), list[int](), 0
    done = asyncio.Event()
    one = make(through.extend)
    async with asyncio.TaskGroup() as group:
        for at, n_samples in enumerate(AT_ONCE):
            if at == late:
                task = group.create_task(one.run(), name="filter")
            if at >= late:
                await asyncio.sleep(0)
            if n_samples is None:
                one.then(lambda: at_acts.append(len(through)))
            else:
                one.feed(ALL[fed : fed + 2 * n_samples])
                fed += 2 * n_samples
        one.then(done.set)
        await done.wait()
        task.cancel()
    assert bytes(through) == ALL, "nothing is lost or doubled, and the order is kept"
    sums = list(itertools.accumulate(2 * (n or 0) for n in AT_ONCE))
    assert at_acts == [total for total, n in zip(sums, AT_ONCE, strict=True) if n is None]
