"""Logging set-up."""

import contextvars
import logging
import logging.handlers
from typing import Final

from pythonjsonlogger.json import JsonFormatter

from ..errors import SettingsError
from .options import ServerOptions

REQUEST_ID: Final[contextvars.ContextVar[str]] = contextvars.ContextVar("request_id", default="-")
"""The id of the request that this context handles."""

_TEXT: Final = "[%(asctime)s] [%(levelname)8s] - %(name)s [%(process)d] %(request_id)s: %(message)s"
_JSON_FIELDS: Final = ("asctime", "levelname", "name", "process", "request_id", "message")
_LOGGERS: Final = ("clas_system", "uvicorn", "uvicorn.error", "gunicorn.error")
_RENAMED: Final = {"asctime": "time", "levelname": "level", "name": "logger"}


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
    handler: logging.Handler = logging.StreamHandler()
    if options.log_file:
        try:  # watched: reopens the file after logrotate has moved it
            handler = logging.handlers.WatchedFileHandler(options.log_file, encoding="utf-8")
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
