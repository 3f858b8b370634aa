"""Debian's Firefox, by `make test-firefox`: it and a sound server are a quarter of a gigabyte, so `make test` leaves them out."""
