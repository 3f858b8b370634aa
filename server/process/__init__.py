"""The process itself.

loop (uvloop or asyncio) · workers (threads for codecs) · children (child processes) · lean (imports without ballast) · interrupts (Ctrl-C during imports) ·
streams (missing standard streams).
"""
