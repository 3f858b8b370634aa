"""HTTP/1.1 between a client's bytes and a handler: llhttp parses, we keep order, bounds and deadlines.

connection   one client's connection: bytes in, answers out in order, its end
exchange     one request and its answer
request      what handlers see of a request
handover     a connection that becomes a WebSocket's stream
patience     how long a connection may take
server       the listening sockets

Tornado's own reader (http1connection.py, iostream.py) takes some 90 µs of CPU for a request at which llhttp and the loop's own
transport take 25, answers what it cannot read with bare bytes or none, and flips epoll twice a request.
"""
