"""What replicas share through Redis, or keep in the process when there is none.

state, in_process_state (keys, news) · redis_link, redis_urls (one connection with bounded waits) · rate_limits · idempotency · once (a command
runs once) · confirmations · session_records (sessions that may be resumed at another replica) · observation (looking at a session of another replica)
"""
