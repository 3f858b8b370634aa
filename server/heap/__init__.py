"""The memory of the process.

garbage       the garbage collector: short steps, and the whole heap when nobody speaks
freed_memory  given back to the system
"""
