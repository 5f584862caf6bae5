"""Makes Paddle's predictors safe to fork: PaddleHub forks its workers after loading the module.

A forked process has none of its parent's other threads. Without this module

- a lock that another thread holds during the fork stays locked in the child;
- the OpenMP runtime waits for its threads when the child exits (seen with Paddle's libiomp5: workers hang
  until gunicorn kills them after 30 s);
- a predictor of a model in JSON format waits for its threads when it is destroyed.
"""

import contextlib
import ctypes
import functools
import os
import threading
import weakref
from typing import Any, Final, Protocol

_OPENMP_LIBRARY: Final = "libiomp5.so"  # ships with Paddle
_OMP_PAUSE_HARD: Final = 2  # omp_pause_resource_t: ends the threads; the next use starts new ones


class Forkable(Protocol):
    """An object that survives a fork.

    Attributes:
        lock: Acquired before a fork, and released in both processes after it.
        paddle: An object of Paddle's that the lock guards; never destroyed in a child.
    """

    lock: threading.Lock
    paddle: Any


_LIVE: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
_HELD: Final[list[Forkable]] = []  # those whose lock is held for the current fork


def carry_over_forks(forkable: Forkable) -> None:
    """Make every fork of this process safe for `forkable`, as long as it exists."""
    _LIVE.add(forkable)
    _register()


@functools.cache
def _register() -> None:
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def _before() -> None:
    live = list(_LIVE)
    for forkable in live:
        forkable.lock.acquire()
    _HELD.extend(live)
    with contextlib.suppress(OSError, AttributeError):  # Paddle uses another OpenMP runtime, or an older one
        ctypes.CDLL(_OPENMP_LIBRARY, mode=os.RTLD_NOLOAD).omp_pause_resource_all(_OMP_PAUSE_HARD)


def _after_in_parent() -> None:
    while _HELD:
        _HELD.pop().lock.release()


def _after_in_child() -> None:
    for forkable in _HELD:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(forkable.paddle))  # never destroyed in this process
    _after_in_parent()
