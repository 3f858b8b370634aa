"""M10, memory: what a user stores, and conversations, in SQLite.

service (gRPC) · store (the tables) · words (what a search finds a text by)
"""
