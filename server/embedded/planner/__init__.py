"""M5, the planner: an intent becomes steps, and outcomes become the words of the reply.

service (gRPC) · recipes (intent to steps) · replies (outcomes to words, by replies.yaml) · results (what an executor said, in words) ·
spoken_values (times, sizes and names as one says them) · sums (arithmetic)
"""
