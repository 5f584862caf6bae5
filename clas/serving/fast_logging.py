"""Shorter log records.

logging gathers facts for each record that no line of ours shows: the caller's file and line, thread and
process names. Without them, and with the other shortcuts of the request path, the HTTP process takes 11.0 %
of the model's CPU time in place of 12.8 (benchmarks/README.md, the log).
"""

import logging


def shorten_log_records() -> None:
    """Have logging skip these facts in this process; logging's documentation names each of the switches."""
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logMultiprocessing = False
