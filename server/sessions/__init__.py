"""The gateway as live sessions see it, and live sessions as the gateway sees them.

desk (operations, tokens, service states) · stats (figures of all sessions) · news (of other replicas, about sessions)
"""
