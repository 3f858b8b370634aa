"""The process itself.

loop (uvloop or asyncio) · workers (threads for codecs) · children (child processes) · lifeline (they end with their parent) · lean (imports without ballast) · interrupts (Ctrl-C during imports) ·
streams (missing standard streams).
"""
