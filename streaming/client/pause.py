"""When a client may change to another gateway without disturbing the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.protocol import messages

if TYPE_CHECKING:
    from streaming.protocol.messages import ChannelParams, Message


class Conversation:
    """What is under way on the open channels, as far as their messages tell.

    A task is under way as long as its channel is open: another replica could not continue it. So is speech on a `tts` channel.
    """

    def __init__(self) -> None:
        self._working: set[int] = set()
        self._answering: set[int] = set()  # channels on which words begin a turn
        self._spoken_into: set[int] = set()
        self._heard: set[int] = set()  # channels on which words were heard whose turn has not begun yet
        self._turns: set[tuple[int, str | None]] = set()

    def opened(self, channel: int, params: ChannelParams) -> None:
        """A channel was asked for."""
        as_text = params.kind == "turn" and getattr(params, "text", None) is not None
        if params.kind in {"execute", "tts"} or as_text:
            self._working.add(channel)
        elif params.kind == "turn":
            self._answering.add(channel)

    def note(self, message: Message) -> None:
        """A message came."""
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
        """The session is gone, and all channels with it."""
        for what in (self._working, self._answering, self._spoken_into, self._heard, self._turns):
            what.clear()

    @property
    def pauses(self) -> bool:
        """Does nobody speak, and is nothing being done or said?"""
        return not (self._working or self._spoken_into or self._heard or self._turns)
