"""The native dialect: `jarvis.v1` on one side, lanes on the other.

live (a session on the wire) · registry (all of them) · outlet, translate (domain events to messages) · commands · journal (what a resume at
another replica needs) · tap (a look at the wire) · observing · recording · traffic · expiry (of tokens)
"""
