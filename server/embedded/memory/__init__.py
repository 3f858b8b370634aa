"""M10, memory: items that users store, and conversations, in SQLite.

service (gRPC) · database (its thread, and what is mended meanwhile) · mending (what a disk has damaged) · store (items and turns) ·
tables · index (of words) · words (splitting texts for the search) · reserve (room for forgetting on a full disk) ·
sqlite_failures (what they mean)
"""
