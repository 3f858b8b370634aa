"""Everything with a lifetime: the frame of the gateway, and a room for each of its concerns.

The frame: config (settings) · loop (uvloop or asyncio) · lifecycle (start to end) · composition (settings to parts) · gateway (what a request
may need) · app, routes (HTTP) · errors (the catalogue) · drain · overload (what is given up first) ·
children (processes brought along) · services (the table of the nine) · workers (threads for codecs) · version.

identity (who asks) · operations (what may be asked) · sessions (live sessions) · shared (what replicas share) · upstream (gRPC clients) ·
net (bytes of clients) · audio (files) · telemetry · documents · cli · embedded (the nine reference services).
"""

import os

# gRPC's core writes notes of its own to standard error, past our log and in another form; it reads this when it is loaded
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# Its client's newer I/O passes every call through threads of its own, which costs some 50 µs of CPU each: a tenth of a whole
# request (grpcio 1.85; `python -m tests.bench.floor`). A release that has no other any more says so in a test.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client")
