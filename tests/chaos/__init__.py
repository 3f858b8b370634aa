"""A chaos monkey for the whole cluster: gateways, nginx, Redis and services as processes, independent clients, faults, and a checker.

topology (the processes) · client (written from PROTOCOL.md alone: nothing of the project is imported there) · work (what clients do, with
effects that can be counted) · monkey (the faults) · checker (what must hold) · run (one run, with a seed).

`python -m tests.chaos --help`; `make chaos` for a long run.
"""
