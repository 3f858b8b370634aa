"""Live microphones: CPU of the gateway process per frame, compared with plain relays in the same run.

__main__     runs each target in turn and prints the table
plot         CPU a frame over talkers, as SVG
talkers      the load generator, a process: so many sockets, a frame of 20 ms each
recogniser   the service behind all of them, a process: it only counts
audio        what a frame of this benchmark holds: time of sending, talker, number
relay        what the peers have in common: their way to the recogniser
peer_fastapi, peer_aiohttp, peer_tornado   what a user would write instead of the gateway
"""
