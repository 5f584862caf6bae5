"""What Paddle's predictors need around a fork; PaddleHub forks its workers after the module was built.

Three things would go wrong without it. Threads don't come along into the new process, so

- a lock that another thread held at that moment would stay locked;
- the OpenMP runtime waits for its threads when the process ends (seen with Paddle's libiomp5: workers that
  never end, until gunicorn kills them after 30 s);
- a predictor of the json format waits for its own when it is torn down.
"""

import contextlib
import ctypes
import functools
import os
import threading
import weakref
from typing import Any, Final, Protocol

_OPENMP_LIBRARY: Final = "libiomp5.so"  # ships with Paddle
_OMP_PAUSE_HARD: Final = 2  # omp_pause_resource_t: end the threads; the next use starts new ones


class Forkable(Protocol):
    """What is to be carried over a fork: a lock, and an object of Paddle's that the lock guards."""

    lock: threading.Lock
    paddle: Any


_LIVE: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
_HELD: Final[list[Forkable]] = []  # those whose lock is held during the fork that is under way


def carry_over_forks(forkable: Forkable) -> None:
    """Have `forkable` looked after in every fork of this process, for as long as it lives."""
    _LIVE.add(forkable)
    _register()


@functools.cache
def _register() -> None:
    if hasattr(os, "register_at_fork"):  # Windows has no forks
        os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def _before() -> None:
    live = list(_LIVE)
    for forkable in live:
        forkable.lock.acquire()
    _HELD.extend(live)
    with contextlib.suppress(OSError, AttributeError):  # this Paddle uses another runtime, or an older one
        ctypes.CDLL(_OPENMP_LIBRARY, mode=os.RTLD_NOLOAD).omp_pause_resource_all(_OMP_PAUSE_HARD)


def _after_in_parent() -> None:
    while _HELD:
        _HELD.pop().lock.release()


def _after_in_child() -> None:
    for forkable in _HELD:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(forkable.paddle))  # never to be torn down here
    _after_in_parent()
