"""The page of --report, for `python -m clas` and the client."""
