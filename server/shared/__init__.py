"""What replicas share through Redis, or keep in this process when there is no Redis.

state, in_process_state  values, revocations and news      idempotency      answers kept by `Idempotency-Key`
redis_link, redis_urls   one connection, bounded waits     once             a command runs at most once
redis_subscription       messages of a channel             redis_errors     why Redis did not do it
rate_limits              sliding windows                   confirmations    risky actions that wait for their user
session_records          sessions that other replicas can resume
store_epoch              whether Redis still holds what was written to it
state_interface          `State`, as everybody else sees it
recent                   what Redis confirmed just now, and may lose yet
observation              watching a session that lives on another replica
views                    what observers see of the sessions here, read once for all of them
"""
