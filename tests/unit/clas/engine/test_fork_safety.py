import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clas.engine import fork_safety
from engines import open_engine, run_in_fork
from tiny_models import solid_batch


@pytest.mark.parametrize("kind", ["tiny_model", "tiny_json_model"])
def test_a_forked_process_ends_whether_it_has_used_the_model_or_not(
    request: pytest.FixtureRequest, kind: str
) -> None:
    """In a program of its own: it is about what happens when a process that was forked comes to its end."""
    code = f"""
import os, signal, sys, time
import numpy as np, paddlehub
from clas.model.files import find_model
from clas.engine.paddle import PaddleEngine
from clas.settings import load_settings
model = {str(request.getfixturevalue(kind))!r}
settings = load_settings({{"inference_model_dir": model, "cpu_num_threads": 2, "crop_size": 32}})
engine = PaddleEngine(find_model(settings)[0], settings)
batch = np.zeros((8, 3, 32, 32), np.float32)
engine.run(batch)
time.sleep(0.5)  # by then OpenMP's threads sleep, too
children = []
for is_used in (True, True, False, False):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        if is_used:
            engine.run(batch)
        sys.exit(0)
    children.append(pid)
ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
engine.run(batch)
print(ends)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0]"


def test_a_lock_held_at_the_fork_does_not_stay_locked(tiny_model: Path) -> None:
    engine = open_engine(tiny_model)
    busy = threading.Event()

    def hold() -> None:
        with engine.lock:
            busy.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    busy.wait()
    run_in_fork(lambda: engine.run(solid_batch(1)))
    thread.join()
    assert engine.run(solid_batch(1)).argmax() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_fork_waits_for_a_thread_that_has_run_the_model_and_is_on_its_way_out(tiny_model: Path) -> None:
    """Such a thread takes a lock inside oneDNN after it was joined; the child would find it locked for ever.

    It takes 0.6 s here: the destructor of a thread-specific value sleeps as long as the value says.
    """
    engine = open_engine(tiny_model)
    libc = ctypes.CDLL(None)
    key = ctypes.c_uint()
    assert libc.pthread_key_create(ctypes.byref(key), libc.usleep) == 0

    def predict() -> None:
        engine.run(solid_batch(1))
        libc.pthread_setspecific(key, ctypes.c_void_p(600_000))

    thread = threading.Thread(target=predict)
    thread.start()
    task = Path(f"/proc/{os.getpid()}/task/{thread.native_id}")
    thread.join()
    assert task.exists()

    def check() -> None:
        assert not task.exists()
        assert engine.run(solid_batch(2)).argmax() == 2

    run_in_fork(check)


def test_only_threads_that_are_there_stay_noted(tiny_model: Path) -> None:
    engine = open_engine(tiny_model)
    for _ in range(80):
        thread = threading.Thread(target=engine.run, args=(solid_batch(1),))
        thread.start()
        thread.join()
    assert len(fork_safety._USERS) <= 65
