"""Engines in the process of a test."""

import dataclasses
import gc
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from clas.engine.base import Batch, Engine
from clas.engine.paddle import PaddleEngine
from clas.model.files import ModelFiles, find_model
from clas.settings import Settings, load_settings
from tiny_models import solid_batch


def settings_for(model: Path, **overrides: object) -> Settings:
    return load_settings(
        {"inference_model_dir": str(model), "crop_size": 32, "resize_short": 32, **overrides}
    )


def of_size(files: ModelFiles, width: int | None, height: int | None) -> ModelFiles:
    """A model whose inference.yml has another size of images than its program."""
    return dataclasses.replace(files, image_size=(width, height))


def wide_batch(*channels: int, width: int, height: int) -> Batch:
    """As `solid_batch`, of any size."""
    batch = np.zeros((len(channels), 3, height, width), np.float32)
    for image, channel in zip(batch, channels, strict=True):
        image[channel] = 1
    return batch


def open_engine(model: Path, **overrides: object) -> PaddleEngine:
    settings = settings_for(model, **overrides)
    return PaddleEngine(find_model(settings)[0], settings)


class HangsInBf16(PaddleEngine):
    """Never loaded in bf16, as CSWin isn't: for native code that doesn't return."""

    def __init__(self, files: ModelFiles, settings: Settings, concurrency: int = 0) -> None:
        if settings.precision == "bf16":
            time.sleep(3600)
        super().__init__(files, settings, concurrency)


class DiesInBf16(PaddleEngine):
    """Ends its process in bf16: for native code that crashes."""

    def __init__(self, files: ModelFiles, settings: Settings, concurrency: int = 0) -> None:
        if settings.precision == "bf16":
            os.kill(os.getpid(), signal.SIGKILL)
        super().__init__(files, settings, concurrency)


def wrong_answers_in_threads(engine: Engine) -> list[int]:
    """Run a model that tells the brightest channel in six threads at once; returns what is wrong."""

    def classify(channel: int) -> list[int]:
        answers = [int(engine.run(solid_batch(channel)).argmax()) for _ in range(100)]
        return [answer for answer in answers if answer != channel]

    with ThreadPoolExecutor(6) as threads:
        return [wrong for wrongs in threads.map(classify, [0, 1, 2, 0, 1, 2]) for wrong in wrongs]


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
