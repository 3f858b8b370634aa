"""The tests. Their folders mirror the source: `tests/X/test_y.py` tests the room `X`, and its module `y` if there is one.

These folders test more than one room:

e2e          whole gateways in processes of their own; e2e/console: the console in Chromium
firefox      the console in Firefox (`make test-firefox`)
clients      other people's clients against a running gateway (`make test-clients`)
deploy       the files of `deploy/`: proxies and replicas
golden       test vectors of the wire, for all implementations
chaos        faults in a working cluster (`make chaos`)
attacks      hostile input: fuzzing, floods, known vulnerabilities
bench, load  benchmarks and load tests; no assertions

support      what tests share: scripted services, sockets, virtual time
audio        recorded speech, with its sources

Modules directly here test the project's own rules: layout, manner, documentation.
"""
