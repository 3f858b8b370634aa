"""M10, memory: what a user stores, and conversations, in SQLite.

service (gRPC) · store
"""
