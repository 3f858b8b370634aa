"""The same gateway written with FastAPI in the usual way, for comparison."""
