"""What a decoder's process answers: messages of a header and its content."""

from __future__ import annotations

import struct

HEADER = struct.Struct(">BBI")  # kind, percent of the file that is read, length of the content in bytes

# A decoder says that it has begun, then sends sound, and at last why the file cannot be read, or that it was all.
STARTED, PCM, UNREADABLE, END = range(4)
