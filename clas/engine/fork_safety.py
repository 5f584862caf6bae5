"""Makes engines safe to fork: PaddleHub forks its workers after loading the module.

A forked process has none of its parent's other threads. Without this module

- a lock that another thread holds during the fork stays locked in the child: the engine's, or one inside
  oneDNN, which a thread that has run a model takes once more on its way out, after Python has let go of it
  (without waiting for that, a child hung in 7 of 30 forks after predictions in several threads);
- the OpenMP runtime waits for its threads when the child exits (seen with Paddle's libiomp5: workers hang
  until gunicorn kills them after 30 s);
- a predictor of a model in JSON format waits for its threads when it is destroyed.
"""

import contextlib
import ctypes
import functools
import os
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Final, Protocol

_OPENMP_LIBRARY: Final = "libiomp5.so"  # ships with Paddle
_OMP_PAUSE_HARD: Final = 2  # omp_pause_resource_t: ends the threads; the next use starts new ones

_TASKS: Final = Path("/proc/self/task")  # a folder for each native thread; Linux only
_ENDING_S: Final = 1.0  # the longest that a fork waits for threads to end; it takes them below a millisecond
_MANY_THREADS: Final = 64


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
_USERS: Final[set[int]] = set()  # native ids of threads that have run a model; they may have ended


def carry_over_forks(forkable: Forkable) -> None:
    """Make every fork of this process safe for `forkable`, as long as it exists."""
    _LIVE.add(forkable)
    _register()


def note_this_thread() -> None:
    """Note that this thread has used Paddle: it isn't to be on its way out during a fork."""
    thread = threading.get_native_id()
    if thread not in _USERS:
        if len(_USERS) >= _MANY_THREADS:  # as with a thread for each request
            _USERS.intersection_update(_native_threads())
        _USERS.add(thread)


def _native_threads() -> set[int]:
    return {int(task.name) for task in _TASKS.iterdir()} if _TASKS.is_dir() else set()


def _wait_for_ending_threads() -> None:
    """Wait until the noted threads that Python has let go of are gone.

    `Thread.join` doesn't wait for what a thread does natively after that, at least up to Python 3.12.
    """
    until = time.monotonic() + _ENDING_S
    while time.monotonic() < until:
        living = {thread.native_id for thread in threading.enumerate()}
        if not (_USERS - living) & _native_threads():
            return
        time.sleep(0.001)


@functools.cache
def _register() -> None:
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def never_destroy(*objects: object) -> None:
    """Keep objects of the parent process: destroying them would wait for threads that a fork doesn't copy."""
    for one in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def _before() -> None:
    live = list(_LIVE)
    for forkable in live:
        forkable.lock.acquire()
    _HELD.extend(live)
    _wait_for_ending_threads()  # after the locks: nobody begins with a prediction any more
    with contextlib.suppress(OSError, AttributeError):  # Paddle uses another OpenMP runtime, or an older one
        ctypes.CDLL(_OPENMP_LIBRARY, mode=os.RTLD_NOLOAD).omp_pause_resource_all(_OMP_PAUSE_HARD)


def _after_in_parent() -> None:
    while _HELD:
        _HELD.pop().lock.release()


def _after_in_child() -> None:
    never_destroy(*(forkable.paddle for forkable in _HELD))
    _USERS.clear()
    _after_in_parent()
