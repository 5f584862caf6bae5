"""Limits on this process, for the time of a block."""

import contextlib
import os
import resource
import time
from collections.abc import Iterator


@contextlib.contextmanager
def file_size_limit(num_bytes: int) -> Iterator[None]:
    """No file grows beyond this size; one in memory doesn't either."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Nothing can be opened; not even in place of what other threads had open when the block began."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    taken = [lowest_free]
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 1, before[1]))
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        try:
            taken.append(os.dup(0))
        except OSError:
            time.sleep(0.001)
    try:
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
