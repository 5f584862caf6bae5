"""Face 2: the standalone HTTP server; `python -m clas.serving start` runs it. It needs no PaddleHub."""

from typing import Final

VERSION: Final = "1.0.0"
"""Of the module that is served; the same as in module.py."""
