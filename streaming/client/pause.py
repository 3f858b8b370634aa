"""Finds the pauses in which a client may change to another gateway without disturbing the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.protocol import messages

if TYPE_CHECKING:
    from streaming.protocol.messages import ChannelParams, Message


class Activity:
    """The activity on the open channels, as far as their messages show it.

    A task is active as long as its channel is open, because another replica could not continue it. So is speech on a `tts` channel.
    """

    def __init__(self) -> None:
        self._working: set[int] = set()
        self._answering: set[int] = set()  # channels on which words start a turn
        self._spoken_into: set[int] = set()
        self._heard: set[int] = set()  # channels with words whose turn has not begun yet
        self._turns: set[tuple[int, str | None]] = set()

    def opened(self, channel: int, params: ChannelParams) -> None:
        """Take a request for a channel."""
        as_text = params.kind == "turn" and getattr(params, "text", None) is not None
        if params.kind in {"execute", "tts"} or as_text:
            self._working.add(channel)
        elif params.kind == "turn":
            self._answering.add(channel)

    def note(self, message: Message) -> None:
        """Take a message from the gateway."""
        match message:
            case messages.SttSpeechStarted(channel=channel):
                self._spoken_into.add(channel)
            case messages.SttFinal(channel=channel, text=text):
                self._spoken_into.discard(channel)
                if text and channel in self._answering:
                    self._heard.add(channel)
            case messages.TurnIntent(channel=channel, turn_id=turn_id):
                self._heard.discard(channel)
                self._turns.add((channel, turn_id))
            case messages.TurnDone(channel=channel, turn_id=turn_id):
                self._heard.discard(channel)
                self._turns.discard((channel, turn_id))
            case messages.ChannelClosed(channel=channel):
                self._forget(channel)

    def _forget(self, channel: int) -> None:
        for channels in (self._working, self._answering, self._spoken_into, self._heard):
            channels.discard(channel)
        self._turns = {turn for turn in self._turns if turn[0] != channel}

    def lost(self) -> None:
        """Forget everything: the session is gone, and all channels with it."""
        for what in (self._working, self._answering, self._spoken_into, self._heard, self._turns):
            what.clear()

    @property
    def pauses(self) -> bool:
        """True if nobody speaks and no work is being done."""
        return not (self._working or self._spoken_into or self._heard or self._turns)
