"""Speech downwards: CPU of the gateway process for each 40 ms of it, beside plain relays, in the same run.

__main__     runs each target in turn and prints the table
listeners    the load generator, a process: so many sockets, each of which is spoken to
synthesiser  the service behind all of them, a process: it sends 40 ms every 40 ms
The peers and the table's machine are those of `tests.bench.microphones`.
"""
