"""The gateway as live sessions see it, and live sessions as the gateway sees them.

fenced (where the work of clients lives) · desk (operations, tokens, service states) · stats (figures of all sessions) · news (of other replicas, about sessions)
"""
