"""Benchmarks: run by `make bench`, never by the tests. Each starts what it needs as real processes and prints a table."""

import server  # noqa: F401 - its settings of gRPC's core, which reads them when it is loaded
