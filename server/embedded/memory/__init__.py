"""M10, memory: items that users store, and conversations, in SQLite.

service (gRPC) · store (the tables) · words (splitting texts for the search)
"""
