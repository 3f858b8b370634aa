"""Reference implementations of M2-M10: real gRPC services, a package or module each, started by `make run`."""
