"""The parent's lines in the server's log; imports the standard library only."""

import contextlib
import json
import os
import sys
import time
from typing import Final

from .control import Facts

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


class ParentLog:
    """Writes lines as the server's own log does; where that goes is known as soon as the server listens."""

    def __init__(self) -> None:
        self._format = "text"
        self._level = "info"
        self._file = ""

    def follow(self, facts: Facts) -> None:
        """Write as this server does, and where."""
        self._format, self._level, self._file = facts.log_format, facts.log_level, facts.log_file

    def write(self, level: str, message: str) -> None:
        """Write a line, unless the level is too low; one that can't be written is lost."""
        if _LEVELS.index(level) < _LEVELS.index(self._level):
            return
        now = time.time()
        stamp = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now))},{int(now * 1000) % 1000:03d}"
        line = f"[{stamp}] [{level.upper():>8}] - clas_system [{os.getpid()}] -: {message}"
        if self._format == "json":
            record = {"time": stamp, "level": level.upper(), "logger": "clas_system", "process": os.getpid()}
            line = json.dumps({**record, "request_id": "-", "message": message})
        with contextlib.suppress(OSError, ValueError):  # a full disk, a closed pipe, no stderr
            if self._file:
                with open(self._file, "a", encoding="utf-8") as file:  # noqa: PTH123  # pathlib is for others
                    file.write(f"{line}\n")
            elif sys.stderr is not None:
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
