import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys, threading
import numpy as np
from clas.allocator import keep_freed_memory
how, block = sys.argv[1], int(sys.argv[2])
if how == "kept":
    keep_freed_memory()
elif how == "bounded":
    keep_freed_memory(32 << 20, 128 << 20)
def use_memory():
    for _ in range(20):
        [np.ones(block, np.uint8) for _ in range(3)]
def in_threads():
    threads = [threading.Thread(target=use_memory) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
def faults(work):
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(use_memory), faults(in_threads))
"""


def faults(repository: Path, how: str, block: int) -> list[int]:
    """Of pages, for three blocks at once, 20 times; and the same in each of two threads."""
    shown = subprocess.check_output([sys.executable, "-c", PROGRAM, how, str(block)], cwd=repository)
    return [int(number) for number in shown.split()]


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is about glibc")


def test_memory_that_is_freed_can_be_kept_for_the_next_one(repository: Path) -> None:
    given_back, kept = (faults(repository, how, 50_000_000) for how in ("given back", "kept"))
    assert 10 * kept[0] < given_back[0]


def test_it_is_kept_up_to_a_bound_in_each_thread(repository: Path) -> None:
    given_back, kept = (faults(repository, how, 6_000_000) for how in ("given back", "bounded"))
    assert 10 * kept[0] < given_back[0]
    # With the main thread's: whether a thread gives memory back by default depends on the arena that it gets.
    assert 4 * kept[1] < given_back[0]


def test_blocks_beyond_the_bound_go_back(repository: Path) -> None:
    assert faults(repository, "bounded", 50_000_000)[0] > 1000
