"""A lane's output to its client: events become messages, audio frames get the channel's generation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from streaming.domain import SpeechBegins
from streaming.jarvis.translate import as_message
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.domain import LaneEvent
    from streaming.flag import Flag
    from streaming.jarvis.socket import Socket
    from streaming.protocol.server import ServerConnection

# A phone whose loudspeaker a call has taken still answers pings; after this long, speech ends that nobody takes.
NO_CREDIT_S = 300.0
MAX_AHEAD_BYTES = 65_536  # bytes in the send queue above which a lane that can skip waits for the client


class OutletHost(Protocol):
    """What outlets use of their live session."""

    connection: ServerConnection
    sent: Flag  # set with every batch sent
    socket: Socket | None

    def wake(self) -> None:
        """There may be something to send."""

    @property
    def movable(self) -> bool:
        """True if another replica can continue the session."""

    def play(self, channel: int, frame: bytes, generation: int, pts_ms: int) -> bool:
        """Send a frame past the queue. False: nothing was done."""

    async def recorded(self) -> bool:
        """Wait until effects may begin. False: another replica has the session."""


class ChannelOutlet:
    """Implements `streaming.outlet.Outlet` for one channel.

    `needed_frame`: the first microphone frame that the client must keep, as for `ServerConnection.taken`.
    """

    def __init__(
        self, host: OutletHost, channel: int, needed_frame: Callable[[int], int | None], generation: int = 0
    ) -> None:
        self._host = host
        self._connection = host.connection
        self._channel = channel
        self._needed_frame = needed_frame
        self.generation = generation  # of audio: incremented by each interruption
        self.closed = False  # True: drop the output of a lane that is still being stopped
        self.sound: tuple[str, int] | None = None  # encoding and rate of the newest utterance
        self._pts_ms = -1  # of the newest queued frame
        self._untold_bytes, self._tell_at_bytes = 0, 1  # taken from the microphone, before the connection is told
        self._receipt: asyncio.Future[None] | None = None
        self.credit = asyncio.Event()  # set when the client grants more credit and when audio is interrupted

    def tell(self, event: LaneEvent) -> None:
        """Queue the event's message."""
        if type(event) is SpeechBegins:
            self.sound = (event.encoding, event.sample_rate_hz)
        if not self.closed:
            self._connection.send_message(as_message(event, self._channel, self.generation))
            self._host.wake()

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:
        """Queue a frame of audio."""
        if self.closed:
            return
        self._pts_ms = pts_ms
        if last or not self._host.play(self._channel, frame, self.generation, pts_ms):
            self._connection.send_audio(self._channel, frame, self.generation, pts_ms, last=last)
            self._host.wake()

    def play_at_once(self, frame: bytes, pts_ms: int) -> bool:
        """Send a frame past the queue."""
        if self.closed or not self._host.play(self._channel, frame, self.generation, pts_ms):
            return False
        self._pts_ms = pts_ms
        return True

    def has_room(self, n_bytes: int) -> bool:
        """True if there is credit, and the frame costs some."""
        connection = self._connection
        return connection.sendable_bytes(self._channel) >= n_bytes and not connection.is_paid(
            self._channel, self._pts_ms + 1
        )

    async def room(self, n_bytes: int) -> None:
        """Wait for credit or an interruption. Raises ServiceError if neither comes."""
        if self._connection.is_paid(self._channel, self._pts_ms + 1):
            await self.caught_up()  # another replica sent it and spent the credit, but it did not arrive
            return
        try:
            async with asyncio.timeout(NO_CREDIT_S):
                await self._credit_for(n_bytes)
        except TimeoutError:
            raise ServiceError("CANCELLED", f"the client took no speech for {NO_CREDIT_S:g} s") from None

    async def _credit_for(self, n_bytes: int) -> None:
        generation = self.generation
        while self._connection.sendable_bytes(self._channel) < n_bytes and self.generation == generation:
            self.credit.clear()
            await self.credit.wait()

    def receipt(self) -> asyncio.Future[None] | None:
        """Done when the client has received all audio so far, or is not to have it any more."""
        if self.closed or not self._host.movable:
            return None
        self._receipt = asyncio.get_running_loop().create_future()
        self._connection.want_receipt(self._channel, self._pts_ms)
        self._host.wake()
        return self._receipt

    def arrived(self) -> None:
        """The client has received all audio."""
        if self._receipt is not None and not self._receipt.done():
            self._receipt.set_result(None)

    async def recorded(self) -> bool:
        """Wait until the record holds what was told."""
        return await self._host.recorded()

    async def caught_up(self) -> None:
        """Wait until the send queue is short."""
        while self._connection.queue_bytes > MAX_AHEAD_BYTES and not self.closed:
            self._host.sent.clear()
            await self._host.sent.wait()

    def taken(self, n_bytes: int) -> None:
        """Return the microphone's credit."""
        self._untold_bytes += n_bytes
        if self._untold_bytes >= self._tell_at_bytes:
            self._tell_taken()
        elif self._host.socket is None:
            self._host.wake()  # the session record has to know how far the audio went on

    def _tell_taken(self) -> None:
        connection, channel = self._connection, self._channel
        n_bytes, self._untold_bytes = self._untold_bytes, 0
        grant = connection.count_taken(channel, n_bytes)
        self._tell_at_bytes = connection.grant_due_bytes(channel)
        if grant:
            connection.give_back(channel, grant, self._needed_frame(channel))
        self._host.wake()

    def interrupt(self) -> None:
        """Begin a new generation. Queued audio is dropped here; audio already sent is stale for the client."""
        if not self.closed:
            self.generation = self._connection.interrupt(self._channel)
        self.arrived()
        self.credit.set()
