"""An engine in a process of its own.

Paddle holds Python's global lock while a model runs, which would stop everything else in this process. And a
model that crashes or hangs takes only its own process with it.
"""

import contextlib
import ctypes
import logging
import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import numpy as np

from ...engine.base import Batch, Engine, EngineClass, EngineInfo, Scores
from ...errors import (
    ClasError,
    ModelLoadError,
    ModelLostError,
    PredictionError,
    StartupError,
    UnavailableError,
)
from ...model.files import ModelFiles
from ...settings import Settings
from ..log import set_up_log
from ..options import ServerOptions
from .channel import Channel, WrongMessageError, open_channel

_LOGGER: Final = logging.getLogger("clas_system")
_LOAD_TIMEOUT_S: Final = 600.0
_BF16_LOAD_TIMEOUT_S: Final = 120.0  # there is fp32 to fall back to
_END_TIMEOUT_S: Final = 5.0
# Sent to all processes of the server, as Ctrl-C does; the server ends us when it is done.
_SERVERS_SIGNALS: Final = {
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
}
_CONTROL: Final = 0  # the number of what isn't about a batch; the first batch has 1, and its scores -1
_PR_SET_PDEATHSIG: Final = 1  # of prctl(2)


class PredictorProcess:
    """A `Runner` for one thread, whose engine runs in a child process.

    Args:
        files: The model.
        settings: Device and options.
        options: Read for the log, and for timeout_s, the time limit of one batch.
        engine_class: What loads and runs the model.

    Attributes:
        info: What the engine takes and returns, and how it runs.

    Raises:
        DeviceError: The GPU that the settings ask for isn't available.
        ModelLoadError: The model is damaged, or isn't an image classifier.
        ModelLostError: Its process has crashed while it was loaded, or hasn't come to an end in time.
    """

    def __init__(
        self, files: ModelFiles, settings: Settings, options: ServerOptions, engine_class: EngineClass
    ) -> None:
        spawn = multiprocessing.get_context("spawn")  # the child inherits nothing of this process
        self._timeout_s = options.timeout_s
        self._number = _CONTROL
        self._is_closed = False
        try:
            self._channel, theirs = open_channel(spawn, options.timeout_s)
            self._process = spawn.Process(
                target=_serve,
                args=(theirs, os.getpid(), files, settings, options, engine_class),
                name="model",
                daemon=True,
            )
            with _signals_blocked():
                self._process.start()
        except OSError as exc:  # no descriptors, processes or memory left; what was opened closes by itself
            raise ModelLoadError(f"the model's process can't be started: {exc.strerror}") from exc
        theirs.close()
        try:
            limit_s = _BF16_LOAD_TIMEOUT_S if settings.precision == "bf16" else _LOAD_TIMEOUT_S
            self.info: EngineInfo = self._receive(limit_s)
        except UnavailableError as exc:
            raise ModelLostError(f"{files.program.parent} can't be loaded: {exc}") from exc
        except ClasError:
            self.close()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the process can still run the model."""
        return not self._is_closed and self._process.is_alive()

    def run(self, *parts: Batch) -> Scores:
        """Compute the scores of a batch; see `Runner.run`.

        Raises:
            PredictionError: The model failed.
            UnavailableError: The process died or hung, and was ended; `is_alive` is False then.
        """
        if self._is_closed:
            raise UnavailableError("the model's process is being replaced")
        self._number += 1
        shape = (sum(map(len, parts)), self.info.num_outputs)
        try:
            self._channel.send_array(self._number, parts, math.prod(shape))
        except MemoryError as exc:
            raise UnavailableError(f"there is no memory for a batch of {shape[0]} images") from exc
        except BlockingIOError:
            self._give_up(f"hasn't taken a batch within {self._timeout_s:g} s")
        except OSError:
            pass  # _receive meets a broken pipe again
        scores = self._receive(self._timeout_s)
        if not isinstance(scores, np.ndarray) or scores.shape != shape:
            self._give_up(f"has answered something else: {scores!r:.80}, not {list(shape)}")
        return scores.copy()

    def close(self) -> None:
        """End the process."""
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._channel.send(_CONTROL)
        self._process.join(_END_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_END_TIMEOUT_S)
        self._channel.close()

    def _receive(self, timeout_s: float) -> Any:  # noqa: ANN401  # depends on the request
        """Wait for the answer; end the process if there is none, or one to something else."""
        try:
            number, answer = self._channel.receive(timeout_s)
        except TimeoutError:
            self._give_up(f"hasn't answered within {timeout_s:g} s")
        except (EOFError, OSError):
            self._process.join(_END_TIMEOUT_S)
            self._give_up(f"has died, with status {self._process.exitcode}")
        except WrongMessageError as exc:
            self._give_up(f"has answered something else: {exc}")
        if number != -self._number:
            self._give_up(f"has answered something else: {number}, not {-self._number}")
        if isinstance(answer, ClasError):
            raise answer
        return answer

    def _give_up(self, what: str) -> NoReturn:
        _LOGGER.error("the model's process %s %s: it is replaced", self._process.pid, what)
        self._process.kill()
        self.close()
        raise UnavailableError(f"the model's process {what}")


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block the server's signals for a process that is started in this block, until it ignores them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SERVERS_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    channel: Channel,
    parent: int,
    files: ModelFiles,
    settings: Settings,
    options: ServerOptions,
    engine_class: EngineClass,
) -> None:
    """The child process: load the model, then run batches until there are no more."""
    _die_with(parent)
    set_up_log(options)
    try:
        engine_class.prepare_process()
        for name in _SERVERS_SIGNALS:
            signal.signal(name, signal.SIG_IGN)
        engine = engine_class(files, settings)
    except StartupError as exc:
        channel.send(_CONTROL, exc)
        return
    except Exception as exc:
        _LOGGER.critical("the model can't be loaded", exc_info=True)
        reason = f"{type(exc).__name__}: {exc}"
        channel.send(_CONTROL, ModelLoadError(f"{files.program.parent} can't be loaded: {reason}"))
        return
    channel.send(_CONTROL, engine.info)
    try:
        _run_batches(engine, channel)
    except WrongMessageError as exc:
        _LOGGER.critical("this isn't a batch: %s", exc)
        os._exit(1)
    os._exit(0)  # Paddle is slow to free a predictor, and never finishes with one of the json format


def _run_batches(engine: Engine, channel: Channel) -> None:
    with contextlib.suppress(EOFError, OSError):  # the server is gone
        while True:
            number, batch = channel.receive()
            if number == _CONTROL:
                return
            _run(engine, channel, number, batch)


def _run(engine: Engine, channel: Channel, number: int, batch: Batch) -> None:
    try:
        scores = engine.run(batch)
    except ClasError as exc:
        _LOGGER.exception("the model failed")
        channel.send(-number, PredictionError(str(exc)))  # without its cause, which may not be picklable
    else:
        channel.send_array(-number, [scores])


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, even if this one hangs then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
