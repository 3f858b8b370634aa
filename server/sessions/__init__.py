"""The gateway as live sessions see it, and live sessions as the gateway sees them.

desk (operations, tokens, service states) · hub (all live sessions, their figures and their news)
"""
