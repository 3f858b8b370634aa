"""Reference implementations of M2-M10: real gRPC services, one module each, started by `make run`."""
