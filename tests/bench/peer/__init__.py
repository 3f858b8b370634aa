"""The same gateway as one would write it with FastAPI, to measure against."""
