"""One turn of the agent, from words heard to words said.

turns (a turn) · heard (words that wait for theirs) · thinking (with a language model) · toolbox (the tools of that model) · brief (the client's instructions and
functions for it) · delivery (speaking the reply) · company (telling the user that work takes long) · format (of a reply) ·
steps (a plan's steps) · tasks (one action: permission, safety, confirmation, outcome) · actions (the rule behind that, and
calling the executor) · remembering (memory as an executor) · references (results of earlier steps in later ones) · eager
(understanding before the user has certainly finished) · questions, deeds (a risky action, put as a question) · asking (aloud, until it is
answered) · answering (does this yes or no count?) · answers (words taken as a yes or no, and settled) · beside (a question that waits
during a turn) · stage (the turn that runs, and those above an open question) · stopwatch (time per stage) · ledger (events already told) · overheard (whose words sound during the reply) · own_voice (which of them
may be the gateway's, by what it has just said) · apologies
"""
