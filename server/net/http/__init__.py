"""HTTP/1.1 behind Tornado's documented interfaces. llhttp parses; this package adds order, limits and deadlines.

server       the listening sockets: FastServer, or Tornado's own HTTPServer (HTTP_READER)
connections  the open connections and what they share
connection   one client's connection: bytes in, answers out in order, closing
parser       bytes to heads and bodies, without I/O
whole_request  the usual request, which arrives in one read, in one pass
exchange     one request and its answer: a tornado.httputil.HTTPConnection
incoming     checks framing and size between any reader and the handler
request      Tornado's HTTPServerRequest, parsed on demand
headers      Tornado's HTTPHeaders on one flat dict
handover     a connection that becomes a WebSocket
patience     time limits
interfaces   what these require of the application and of handlers besides Tornado's own interfaces

Tornado's reader takes more CPU than all the rest of a request except its gRPC call (`python -m tests.bench.floor`), and it
answers unreadable input with bare bytes or not at all.
"""
