"""Face 2: the standalone HTTP server; `python -m clas.serving start` runs it. It needs no PaddleHub."""

from ..protocol import VERSION

__all__ = ["VERSION"]
