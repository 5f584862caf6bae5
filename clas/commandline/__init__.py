"""`python -m clas`, and what the command lines share."""
