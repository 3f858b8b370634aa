"""M10, memory: items that users store, and conversations, in SQLite.

service (gRPC) · database (its thread) · check (what a disk has damaged) · store (the tables) · index (of words) · words (splitting texts for the search) · reserve (room for forgetting on a full disk) ·
sqlite_failures (what they mean)
"""
