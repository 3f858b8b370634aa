"""What one session may cost: all limits of the core, with the reason for each number."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """The server's limits of a session. Units are bytes and seconds."""

    channels: int = 16
    """Open channels: a microphone, a speaker, an observer, and a dozen parallel tasks."""
    text_bytes: int = 256 * KIB
    """Of one text message: 20,000 characters of speech, each escaped as \\uXXXX, take 120 KB."""
    text_values: int = 2_048
    """Values in one text message, which take a quarter of a millisecond to read. A vector of an embedding has 1,536 numbers."""
    json_depth: int = 32
    """Nesting of one text message: parameters of real operations have five levels."""
    frame_bytes: int = 64 * KIB
    """Of one binary message: half a second of 48 kHz PCM. Half of `microphone_window_bytes`, so that credit never gets stuck."""
    commands_per_s: float = 100.0
    """Sustained rate of text messages: that of a language model's tokens sent as `tts.text`."""
    command_burst: float = 400.0
    """Burst of text messages: everything a client may have to repeat after a resume."""
    work_price: float = 3.0
    """A message that starts work counts as so many. All calls that may run (`running_calls`) still fit into one burst."""
    open_price: float = 8.0
    """A `channel.open` counts as so many: it starts a lane, which costs more than the task of a call. As many channels as may be open fit
    three times into one burst."""
    stray_price: float = 8.0
    """A frame of a channel that was never opened, or whose input has ended, counts as so many: nobody has credit for it. A client that
    sends a channel's audio in spite of the refusal is closed within three seconds."""
    text_unit_bytes: int = 16 * KIB
    """A text message counts once more for each unit in it: the largest takes much longer to read than a small one."""
    refusals: float = 400.0
    """Rate-limited messages that are answered before the socket is closed with 4029; one is forgiven per second. A client that
    sends 500 calls at once gets 133 through, and is told about the others."""
    audio_bytes_per_s: float = 256.0 * KIB
    """Sustained rate of microphone bytes: two channels of 48 kHz PCM and some more."""
    audio_burst_bytes: float = float(2 * MIB)
    """Burst of microphone bytes: what a client kept while disconnected."""
    microphone_window_bytes: int = 128 * KIB
    """Credit of an input channel: four seconds of 16 kHz PCM in flight or waiting for the service."""
    queue_bytes: int = 4 * MIB
    """Growth of the send queue while attached; above it, the consumer is slow. A screenshot must fit."""
    detached_queue_bytes: int = 8 * MIB
    """Send queue while detached; more than `queue_bytes`, because a slow consumer is detached with a full queue. One that was detached
    with more of it may have `queue_bytes` on top."""
    most_queue_bytes: int = 16 * MIB
    """Send queue in any case: `detached_queue_bytes` that were kept, the growth of a socket that took none of them, and as much again."""
    replay_bytes: int = 4 * MIB
    """Sent but not acknowledged: a minute of 16 kHz speech, and the same screenshot."""
    replay_s: float = 120.0
    """Age of unacknowledged messages: a dead socket is noticed after two heartbeats, and then the resume window runs."""
    resume_window_s: float = 60.0
    """How long a session waits without a socket: a tunnel, a lift, a phone changing networks."""
    heartbeat_s: float = 20.0
    """A silent client is pinged after this time; shorter than the 30 to 60 s after which proxies drop idle sockets."""
    running_calls: int = 128
    """Calls not yet answered. Free ones would pile up while the gateway is busy; a page that opens asks for a dozen things."""
    remembered_commands: int = 256
    """Command ids remembered to recognise repetitions; twice the calls that may run, which are never forgotten."""
    remembered_answer_bytes: int = 64 * KIB
    """Answers remembered for repeated commands that were lost with a socket; larger ones are still kept as unacknowledged."""
    merged_progress_bytes: int = 16 * KIB
    """Task output merged into one `task.progress` for a slow client; beyond it, a new message begins."""
    acknowledge_every: int = 32
    """Numbered commands between two `ack`s to the client; limits what the client keeps."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """The client's own limits."""

    speaker_window_bytes: int = 256 * KIB
    """Credit for speech: five seconds of 24 kHz PCM, more than a server sends ahead of playout."""
    pending_audio_bytes: int = 2 * MIB
    """Microphone audio kept without connection or credit: a minute of 16 kHz PCM; beyond it, the oldest is lost."""
    acknowledge_every: int = 32
    """Messages between two `ack`s."""
    acknowledge_bytes: int = 64 * KIB
    """Bytes between two `ack`s; limits what the server keeps of what it sent."""
    acknowledge_s: float = 1.0
    """Longest delay of an `ack`, so that an idle session leaves nothing in its server's memory."""
    json_depth: int = 64
    """Nesting of a server message; deeper than commands, because results contain what services found."""
