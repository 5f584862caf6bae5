"""Pages of other origins: which of them may send requests from a browser, and read the answers."""

from collections.abc import Sequence
from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from .inference import VERSION_HEADER
from .middleware import REQUEST_ID_HEADER
from .open_inference.input_tensor import HEADER_LENGTH

_METHODS: Final = ("GET", "HEAD", "POST")
_SENT: Final = ("Content-Type", "Authorization", REQUEST_ID_HEADER, HEADER_LENGTH)
_READ: Final = (REQUEST_ID_HEADER, VERSION_HEADER, "Server-Timing", "Retry-After", HEADER_LENGTH)


def cors(origins: Sequence[str]) -> list[Middleware]:
    """Return the middleware that answers preflights and marks all answers; none without origins.

    It comes before all others: a preflight has no token, and a page can read errors, too.

    Args:
        origins: As in ServerOptions.allow_origin.
    """
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=_SENT,
            expose_headers=_READ,
        )
    ]
