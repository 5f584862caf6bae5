"""Logging set-up."""

import contextlib
import contextvars
import logging
import logging.handlers
import os
import sys
import time
from typing import Final, TextIO

from pythonjsonlogger.json import JsonFormatter

from ..errors import SettingsError
from .options import ServerOptions

REQUEST_ID: Final[contextvars.ContextVar[str]] = contextvars.ContextVar("request_id", default="-")
"""The id of the request that this context handles."""

_TEXT: Final = "[%(asctime)s] [%(levelname)8s] - %(name)s [%(process)d] %(request_id)s: %(message)s"
_JSON_FIELDS: Final = ("asctime", "levelname", "name", "process", "request_id", "message")
_LOGGERS: Final = ("clas_system", "uvicorn", "uvicorn.error", "gunicorn.error")
_STDERR: Final = 2
_SILENCE_S: Final = 60.0
_RENAMED: Final = {"asctime": "time", "levelname": "level", "name": "logger"}


class _LossReport(logging.Handler):
    """Says once a minute, on stderr, that lines are lost; logging itself would print a traceback for each."""

    _silent_until = 0.0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002  # logging's
        """Called when a line can't be written."""
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _SILENCE_S
            with contextlib.suppress(OSError):  # stderr may be what can't be written
                os.write(_STDERR, f"the log can't be written: {sys.exc_info()[1]}\n".encode())


class _StreamHandler(_LossReport, logging.StreamHandler[TextIO]):
    """To stderr."""


class _FileHandler(_LossReport, logging.handlers.WatchedFileHandler):
    """To a file, which is opened again after logrotate has moved it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            super().emit(record)
        except OSError:  # the file can't be opened again: its directory has gone, or the disk is read-only
            self.handleError(record)

    def close(self) -> None:
        """Close the file; what is still to be written is lost where that can't be done."""
        with contextlib.suppress(OSError):
            super().close()


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = REQUEST_ID.get()
    return True


def set_up_log(options: ServerOptions) -> logging.Handler:
    """Send our log, and that of uvicorn and gunicorn, to one handler.

    Returns:
        That handler.

    Raises:
        SettingsError: The log file can't be opened.
    """
    handler: logging.Handler = _StreamHandler()
    if options.log_file:
        try:
            handler = _FileHandler(options.log_file, encoding="utf-8")
        except OSError as exc:
            raise SettingsError(f"log_file {options.log_file} can't be opened: {exc.strerror}") from exc
    if options.log_format == "json":
        handler.setFormatter(JsonFormatter(list(_JSON_FIELDS), rename_fields=_RENAMED, timestamp=False))
    else:
        handler.setFormatter(logging.Formatter(_TEXT))
    handler.addFilter(_add_request_id)
    logging.getLogger("python_multipart").setLevel("CRITICAL")  # the response says it
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        for replaced in logger.handlers:
            if isinstance(replaced, logging.FileHandler):
                replaced.close()
        logger.handlers = [handler]
        logger.propagate = False
        # The libraries log each start and stop as info.
        quiet = name != "clas_system" and options.log_level == "info"
        logger.setLevel("WARNING" if quiet else options.log_level.upper())
    return handler
