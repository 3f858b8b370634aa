"""A long text message, which nobody has decoded."""

from __future__ import annotations


class LongText(bytearray):
    """The UTF-8 of a text message. Decoding 20 MiB takes 20 ms at once: whoever reads it decodes what it needs, in pieces."""
