"""Clients on the network: the bytes of HTTP and WebSocket, and client addresses.

http            HTTP/1.1: llhttp on the loop's own transport
websocket       RFC 6455: frames without I/O
client_address  the client's address behind proxies
query           the query of an address as text
served_names    the Host names that the gateway answers to
strict_json     strict parsing of bodies
handshakes      the limit of WebSocket handshakes per address
loop_turns      crowded connections take turns on the event loop
tick            what sockets do at the end of a tick of the loop
cut             the end of a connection whose client does not answer
"""
