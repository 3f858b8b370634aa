"""What one session may cost: every bound of the core, with the reason for its number."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a session as the server keeps them. Bytes are bytes, times are seconds."""

    channels: int = 16
    """Open at once: a microphone, a speaker, an observer, and a dozen tasks side by side."""
    text_bytes: int = 256 * KIB
    """Of one text message: 20,000 characters of speech, each escaped as \\uXXXX, take 120 KB."""
    json_depth: int = 32
    """Nesting of one text message: parameters of real operations have five levels."""
    frame_bytes: int = 64 * KIB
    """Of one binary message: half a second of 48 kHz PCM; half of `microphone_window_bytes`, so that credit never gets stuck."""
    commands_per_s: float = 100.0
    """Text messages in the long run: a language model's tokens passed on as `tts.text` come at that rate."""
    command_burst: float = 400.0
    """Text messages at once: everything a client may have to say again after a resume."""
    refusals: float = 200.0
    """Rate-limited messages that are answered before the socket closes 4029; one is forgiven each second."""
    audio_bytes_per_s: float = 256.0 * KIB
    """Microphone bytes in the long run: two channels of 48 kHz PCM and some more."""
    audio_burst_bytes: float = float(2 * MIB)
    """Microphone bytes at once: what a client kept while it had no connection."""
    microphone_window_bytes: int = 128 * KIB
    """Credit of an input channel: four seconds of 16 kHz PCM may be on their way or wait for the service."""
    queue_bytes: int = 4 * MIB
    """Send queue while a socket is attached; past it the consumer is slow. A screenshot has to fit in."""
    detached_queue_bytes: int = 8 * MIB
    """Send queue while no socket is attached; more than `queue_bytes`, for a slow consumer comes here with a full queue."""
    replay_bytes: int = 4 * MIB
    """Sent and not acknowledged: a minute of 16 kHz speech, and the same screenshot."""
    replay_s: float = 120.0
    """Age of what is kept for replay: a silent socket is noticed after two heartbeats, then the resume window runs."""
    resume_window_s: float = 60.0
    """How long a session waits without a socket: a tunnel, a lift, a phone that changes networks."""
    heartbeat_s: float = 20.0
    """A silent client is asked whether it is there; under the 30 to 60 s after which proxies drop idle sockets."""
    remembered_commands: int = 256
    """Command ids known again when they are repeated; more than a client can have unanswered."""
    remembered_answer_bytes: int = 64 * KIB
    """Answers kept for repeated commands: those lost with a socket; larger ones are still in the replay buffer."""
    merged_progress_bytes: int = 16 * KIB
    """Output of a task gathered in one `task.progress` while the client is slow; then the next message begins."""
    acknowledge_every: int = 32
    """Numbered commands between two `ack`s to the client: bounds what it keeps."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Bounds that a client keeps for itself."""

    speaker_window_bytes: int = 256 * KIB
    """Credit for speech: five seconds of 24 kHz PCM, more than a server sends ahead of playout."""
    pending_audio_bytes: int = 2 * MIB
    """Microphone audio kept while there is no connection or no credit: a minute of 16 kHz PCM; then the oldest is lost."""
    acknowledge_every: int = 32
    """Messages between two `ack`s."""
    acknowledge_bytes: int = 64 * KIB
    """Bytes between two `ack`s: what a server has to keep for replay."""
    acknowledge_s: float = 1.0
    """The latest time of an `ack`: an idle session shall hold nothing in its server's memory."""
    json_depth: int = 64
    """Nesting of a server message: deeper than any command, for results hold what services found."""
