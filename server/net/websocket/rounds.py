"""Reads many sockets in rounds: what arrived at all of them within some milliseconds is read in one turn of the loop.

A process that sleeps between two frames pays for each wake: some 40 to 100 µs of CPU with cold caches, on a machine that does
other work too; the frame itself costs a few. So sockets that keep sending are read here and not by their transports. While few
frames come, they are read at once. With more, reading waits for the next round, as a network card holds back its interrupts.

Only reading is taken over. Whatever is not plain data (the end, an error) is left to the transport, which finds it again.

TCP acknowledgements of these sockets may be late. As long as we send nothing, the kernel sends one with each read, which is half of
a read's cost: 12 µs with 50 sockets and 20 ms between frames, 6 to 7 with `TCP_QUICKACK` off. Then one comes for two frames, or after
40 ms. Browsers and most libraries set TCP_NODELAY. A client without it holds a frame back until the one before is acknowledged. The
kernel acknowledges late by itself as soon as we send something: of 300 such frames, 43 were 22 to 40 ms late. So a client whose frames
come two at a time is acknowledged with each read for a while: 3 of 300 then.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from server.net.websocket.transport import set_tcp

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

READ_BYTES: Final = 16 * 1024  # more is read in the next round
READS_AT_ONCE: Final = 64  # less than a millisecond; then other work has a turn
RATE_S = 0.1  # the rate of reads is taken over this time
# Up to so many reads a second, this long between rounds. 16 microphones make 800 reads a second, and never wait.
ROUNDS_S = ((800, 0.0), (2_500, 0.002), (7_500, 0.003))
BUSY_ROUND_S = 0.005
QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only
PROMPT_READS = 250  # that are acknowledged at once, after frames that came together: five seconds of a microphone
SHORT_S = 0.015  # two frames that came within this time were sent together


class Seat:
    """One connection's place in the rounds. Its transport has stopped reading."""

    __slots__ = ("_deliver", "_prompt_reads", "_rounds", "_transport", "descriptor", "left")

    def __init__(
        self, rounds: ReadRounds, transport: asyncio.Transport, descriptor: int, deliver: Callable[[bytes], None]
    ) -> None:
        self._rounds = rounds
        self._transport = transport
        self._deliver = deliver
        self.descriptor = descriptor
        self.left = False
        self._prompt_reads = 0
        if QUICK_ACK is not None:
            set_tcp(transport, QUICK_ACK, on=False)

    def read(self) -> None:
        """Read what is there. The end and errors are left to the transport, which finds them again."""
        data = b""
        if not self._transport.is_closing():  # else its descriptor is closed, and the number may be another file's
            try:
                data = os.read(self.descriptor, READ_BYTES)
            except OSError:  # `suppress` would cost three calls for each frame
                data = b""
        if data:
            if self._prompt_reads:
                self._acknowledge()
            self._deliver(data)
        else:
            self.leave()

    def together(self, messages: Sequence[object]) -> None:
        """These came in one read. If they are audio and we were in time, the client held one back until we acknowledged another."""
        if not self.left and type(messages[0]) is bytes is type(messages[-1]) and self._rounds.in_time:
            self._prompt_reads = PROMPT_READS
            self._acknowledge()

    def _acknowledge(self) -> None:
        """Acknowledge what was read now. The kernel forgets the option, so it is set for each read."""
        self._prompt_reads -= 1
        if QUICK_ACK is not None:
            set_tcp(self._transport, QUICK_ACK, on=True)

    def leave(self) -> None:
        """Let the transport read again."""
        if self.left:
            return
        self.left = True
        self._rounds.forget(self)
        self._deliver = _nobody  # its owner refers to us: leave no cycle
        if not self._transport.is_closing():
            self._transport.resume_reading()


def _nobody(_data: bytes) -> None:
    """Takes what a connection that has left would deliver."""


class ReadRounds:
    """The sockets of one loop that are read together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._seats: dict[int, Seat] = {}
        self._watching = False  # the loop calls us as soon as anything can be read
        self._timer: asyncio.Handle | None = None
        self._reads, self._since, self._pause_s = 0, loop.time(), 0.0
        self._began_at = self._emptied_at = self._since  # this round, and the last one that read all there was

    def __len__(self) -> int:
        return len(self._seats)

    def join(self, transport: asyncio.Transport, deliver: Callable[[bytes], None]) -> Seat | None:
        """Read this connection from now on; None if only its transport can do that, because it is encrypted or closed."""
        connection = transport.get_extra_info("socket")
        if connection is None or transport.is_closing() or transport.get_extra_info("sslcontext") is not None:
            return None
        transport.pause_reading()
        seat = Seat(self, transport, connection.fileno(), deliver)
        self._seats[seat.descriptor] = seat
        self._epoll.register(seat.descriptor, select.EPOLLIN)
        if self._timer is None:
            self._watch()
        return seat

    def forget(self, seat: Seat) -> None:
        """Read it no longer. A closed descriptor has left by itself, and its number may be another seat's by now."""
        if self._seats.get(seat.descriptor) is seat:
            del self._seats[seat.descriptor]
            with suppress(OSError):  # it is closed
                self._epoll.unregister(seat.descriptor)

    @property
    def in_time(self) -> bool:
        """True if what is read now came within SHORT_S, or if there are so few microphones that it does not matter."""
        return not self._pause_s or self._began_at - self._emptied_at < SHORT_S

    def close(self) -> None:
        """Read nothing more."""
        self._stop_watching()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._seats.clear()
        self._epoll.close()

    # --- rounds ---

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._loop.add_reader(self._epoll.fileno(), self._read)

    def _stop_watching(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._epoll.fileno())

    def _read(self) -> None:
        """One round, or a part of it."""
        self._timer = None
        self._began_at = self._loop.time()
        ready = self._epoll.poll(0, READS_AT_ONCE)
        seats = self._seats
        try:
            for descriptor, _ in ready:
                seat = seats.get(descriptor)
                if seat is not None:
                    seat.read()
        finally:  # a fault in one connection's code must not stop the others; what it left unread is read in the next round
            self._go_on(len(ready))

    def _go_on(self, ready: int) -> None:
        """Choose when the next round is."""
        self._reads += ready
        self._look_at_rate()
        if ready < READS_AT_ONCE:
            self._emptied_at = self._began_at
        if ready == READS_AT_ONCE:
            self._stop_watching()
            self._timer = self._loop.call_soon(self._read)
        elif self._pause_s and ready:
            self._stop_watching()
            self._timer = self._loop.call_later(self._pause_s, self._read)
        else:
            self._watch()

    def _look_at_rate(self) -> None:
        now = self._began_at
        passed_s = now - self._since
        if passed_s >= RATE_S:
            self._pause_s = pause_s(self._reads / passed_s)
            self._reads, self._since = 0, now


def pause_s(reads_per_s: float) -> float:
    """The time between rounds, in seconds: a few microphones never wait."""
    return next((pause for most, pause in ROUNDS_S if reads_per_s <= most), BUSY_ROUND_S)


def read_rounds(loop: asyncio.AbstractEventLoop) -> ReadRounds | None:
    """Rounds for this loop; None where there is no epoll: transports read then."""
    return ReadRounds(loop) if hasattr(select, "epoll") else None
