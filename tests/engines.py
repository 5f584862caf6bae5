"""Paddle engines in the process of a test."""

import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path

from clas.engine.paddle import PaddleEngine
from clas.model.files import find_model
from clas.settings import Settings, load_settings


def settings_for(model: Path, **overrides: object) -> Settings:
    return load_settings(
        {"inference_model_dir": str(model), "crop_size": 32, "resize_short": 32, **overrides}
    )


def open_engine(model: Path, **overrides: object) -> PaddleEngine:
    settings = settings_for(model, **overrides)
    return PaddleEngine(find_model(settings)[0], settings)


def run_in_fork(function: Callable[[], object]) -> None:
    """Call `function` in a forked process, and make sure that it came to its end there."""
    gc.collect()  # the executors that wrote the models would crash if they were torn down in the child
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # a deadlock is a failure, too
        try:
            function()
        except BaseException:  # noqa: BLE001  # the child must not continue as a second pytest
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
