"""Everything with a lifetime: the gateway's frame, and a package for each of its concerns.

The frame: config (settings) · mistyped (names that are none) · lifecycle (start to stop) · composition (settings to parts) · gateway (what handlers get) ·
app, routes (HTTP) · errors (the catalogue) · drain · overload (load shedding) · services (the table of the nine) · roles (user, operator, admin) ·
hot_path (what may be compiled) · files (bounded reading) · version.

The packages: identity (callers) · operations (what clients may ask for) · sessions (live sessions) · shared (what replicas share) ·
upstream (gRPC clients) · net (HTTP and WebSocket bytes) · audio (files) · telemetry · heap (the process's memory) · process (its loop, threads and children) · documents ·
cli · embedded (reference services).
"""

import os

from server.process.interrupts import ended_silently
from server.process.lean import import_without
from server.process.streams import open_missing

# gRPC's core logs to standard error in a form of its own. It reads this variable when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# The gRPC client's newer I/O passes every call through threads of its own, at some 50 µs of CPU each: a tenth of a whole
# request (grpcio 1.85; `python -m tests.bench.floor`). A test fails once a release has no other.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client")
# pydantic looks for plugins in the metadata of every installed package, which takes a tenth of the start. We have none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
open_missing()
with ended_silently():
    # For tracebacks in colour, which our log does not have: rich takes 3.7 MB and a tenth of the start.
    import_without("structlog", "rich", "greenlet")
