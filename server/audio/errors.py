"""What is wrong with an uploaded file."""

from __future__ import annotations


class UnreadableAudioError(ValueError):
    """Not an audio file that we can read; the text says what was expected."""


class AudioTooLongError(ValueError):
    """The file unpacks to more audio than a request may have."""
