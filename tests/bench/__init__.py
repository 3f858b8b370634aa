"""Benchmarks: run by `make bench`, never by the tests. Each starts what it needs as real processes and prints a table."""
