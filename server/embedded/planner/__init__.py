"""M5, the planner: turns an intent into steps, and the steps' outcomes into a reply.

service (gRPC) · recipes (intent to steps) · replies (outcomes to text, by replies.yaml) · results (an executor's result in words) ·
spoken_values (times, sizes and names as spoken) · sums, conversions, dates (worked out, in words) · places (time zones) · several
(requests in one plan) · acts (what was asked for before) · follow_ups (words that only mean something after earlier ones)
· references (what short words refer to after a sum or a listing)
"""
