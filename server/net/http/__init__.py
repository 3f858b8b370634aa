"""HTTP/1.1 behind Tornado's documented interfaces: llhttp parses, this package keeps order, bounds and deadlines.

server       listens: FastServer, or Tornado's own HTTPServer (HTTP_READER)
connections  the open connections and what they share
connection   one client's connection: bytes in, answers out in order, its end
parser       bytes to heads and bodies, without I/O
exchange     one request and its answer: a tornado.httputil.HTTPConnection
incoming     a request on its way to its handler, whoever reads it: framing and size are checked here
request      Tornado's HTTPServerRequest, parsed on demand
headers      Tornado's HTTPHeaders on one flat dict
handover     a connection that becomes a WebSocket
patience     time limits
interfaces   what these ask of the application and of handlers beside Tornado's own interfaces

Tornado's reader costs more CPU than all the rest of a request but its gRPC call (`python -m tests.bench.floor`), and
answers what it cannot read with bare bytes or not at all.
"""
