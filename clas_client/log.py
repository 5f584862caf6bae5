"""The client's log, on stderr."""

import logging
from typing import Final

import cv2

LOGGER: Final = logging.getLogger("clas_client")


def set_up_log() -> None:
    """Show the client's log on stderr, and silence what libraries would write between its lines."""
    if not LOGGER.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        LOGGER.addHandler(handler)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # The client reports what OpenCV can't decode; OpenCV 5 has moved the function.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # type: ignore[attr-defined]
    set_log_level(0)
