"""The standalone HTTP server, `python -m clas.serving start`; needs no PaddleHub."""
