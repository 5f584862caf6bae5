"""The items of `python -m clas check`."""
