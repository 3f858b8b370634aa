"""Live sessions and the gateway, as each sees the other.

fenced  the task group of clients' work
desk    operations, tokens and service states, for sessions
quota   how often executors' actions and turns of text may run
stats   figures of all sessions, for the gateway
news    news of other replicas, passed to the sessions they concern
"""
