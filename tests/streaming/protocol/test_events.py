from __future__ import annotations

from streaming.protocol.events import AudioReceived


def test_a_frame_is_shown_without_its_audio() -> None:
    shown = repr(AudioReceived(3, bytes(640), 40, last=False, lost=False, generation=1, seq=9))
    assert shown == "AudioReceived(channel=3, 640 bytes at 40 ms, generation=1, seq=9)"
