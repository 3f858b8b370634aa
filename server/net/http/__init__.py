"""HTTP/1.1 between a client's bytes and a handler: llhttp parses, we keep order, bounds and deadlines.

connection   one client's connection: bytes in, answers out in order, its end
parser       bytes to heads and bodies
exchange     one request and its answer
request      what handlers see of a request
handover     a connection that becomes a WebSocket's stream
patience     how long a connection may take
server       the listening sockets

Tornado's own reader and handlers cost more CPU than all the rest of a request but its gRPC call (`python -m tests.bench.floor`), answer
what they cannot read with bare bytes or with none, and would read forms that nobody here has. Its WebSocket stays.
"""
