"""Telephone calls by Twilio Media Streams, on the same lanes as the other dialects. docs/TELEPHONY.md says how to set it up.

wire: Twilio's messages, read and written · pace: how many may come · keypad: keys as text · line: what one turn lane plays to the
telephone, its Outlet · call: one call, a Resident · registry: all of them.
"""
