"""Everything with a lifetime: settings, tokens, limits, shared state, metrics, and the gateway that is made of them.

config: settings · loop: asyncio's or uvloop · lifecycle: start to end · composition: from settings to parts · app, routes, http1: HTTP · operations: what may be asked ·
auth, tokens, users, jwks: who asks · limits, state, redis_link: what replicas share · confirmations, audit: who approved what · idempotency, once ·
metrics, tallies, log, tracing · realtime, desk: what sessions see of the gateway · upstream: gRPC clients · embedded: the reference services ·
session_records, observing: sessions between replicas · recordings, replay: sessions in files · children: processes brought along ·
drain · talk: the terminal client.
"""

import os

# gRPC's core writes notes of its own to standard error, past our log and in another form; it reads this when it is loaded
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# Its client's newer I/O passes every call through threads of its own, which costs some 50 µs of CPU each: a tenth of a whole
# request (grpcio 1.85; `python -m tests.bench.floor`). A release that has no other any more says so in a test.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client")
