"""Compares results with true classes, for `python -m clas` and the client."""
