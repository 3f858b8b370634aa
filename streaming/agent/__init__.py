"""One turn of the agent, from words heard to words said.

turns (a turn) · thinking (with a language model) · toolbox (what it may ask for) · brief (what the client brings for it) · delivery (its words spoken) · company (that work takes long) · format (of a reply) ·
steps (a plan's steps) · tasks (one action: permission, safety, confirmation, outcome) · actions (the rule behind that, and calling the executor) · remembering (memory as an executor) · references (results of earlier
steps in later ones) · eager (understanding before the user has certainly finished) · questions (what is asked before a risky action) · stopwatch (how long
its stages took) · ledger (what a turn has told) · overheard (whose words sound during the reply) · apologies
"""
