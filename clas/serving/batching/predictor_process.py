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
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Final

import numpy as np

from ...engine.base import Batch, Engine, EngineClass, EngineInfo, Scores
from ...errors import ClasError, ModelLoadError, PredictionError, StartupError, UnavailableError
from ...model.files import ModelFiles
from ...settings import Settings
from ..log import set_up_log
from ..options import ServerOptions

_LOGGER: Final = logging.getLogger("clas_system")
_LOAD_TIMEOUT_S: Final = 600.0
_END_TIMEOUT_S: Final = 5.0
_ITEM_BYTES: Final = 4  # of float32, for batches and scores
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
        ModelLoadError: The model is damaged, isn't an image classifier, or its process has crashed.
    """

    def __init__(
        self, files: ModelFiles, settings: Settings, options: ServerOptions, engine_class: EngineClass
    ) -> None:
        spawn = multiprocessing.get_context("spawn")  # the child inherits nothing of this process
        self._connection, theirs = spawn.Pipe()
        self._timeout_s = options.timeout_s
        self._memory: SharedMemory | None = None
        self._process = spawn.Process(
            target=_serve,
            args=(theirs, os.getpid(), files, settings, options, engine_class),
            name="model",
            daemon=True,
        )
        with _interrupts_blocked():
            self._process.start()
        theirs.close()
        self._is_closed = False
        try:
            self.info: EngineInfo = self._receive(_LOAD_TIMEOUT_S)
        except UnavailableError as exc:
            raise ModelLoadError(f"{files.program.parent} can't be loaded: {exc}") from exc
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
        shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
        scores_shape = (shape[0], self.info.num_outputs)
        memory = self._room_for(_ITEM_BYTES * max(math.prod(shape), math.prod(scores_shape)))
        np.concatenate(parts, out=np.ndarray(shape, np.float32, memory.buf))
        with contextlib.suppress(OSError):  # _receive meets a broken pipe again
            self._connection.send((memory.name, shape))
        self._receive(self._timeout_s)
        return np.ndarray(scores_shape, np.float32, memory.buf).copy()

    def close(self) -> None:
        """End the process."""
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._process.join(_END_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_END_TIMEOUT_S)
        self._connection.close()
        self._release()

    def _receive(self, timeout_s: float) -> Any:  # noqa: ANN401  # depends on the request
        """Wait for the answer; end the process if there is none."""
        try:
            if not self._connection.poll(timeout_s):
                self._give_up(f"hasn't answered within {timeout_s:g} s")
            answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(_END_TIMEOUT_S)
            self._give_up(f"has died, with status {self._process.exitcode}")
        if isinstance(answer, ClasError):
            raise answer
        return answer

    def _give_up(self, what: str) -> None:
        _LOGGER.error("the model's process %s %s: it is replaced", self._process.pid, what)
        self._process.kill()
        self.close()
        raise UnavailableError(f"the model's process {what}")

    def _room_for(self, num_bytes: int) -> SharedMemory:
        if self._memory is None or self._memory.size < num_bytes:
            self._release()
            self._memory = _allocate(num_bytes)
        return self._memory

    def _release(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()
            self._memory = None


def _allocate(num_bytes: int) -> SharedMemory:
    """Allocate shared memory and reserve its pages; else, writing to a full /dev/shm kills the process."""
    memory = SharedMemory(create=True, size=num_bytes)
    try:
        if sys.platform == "linux":
            with open(f"/dev/shm/{memory.name}", "r+b") as file:  # noqa: PTH123, S108
                os.posix_fallocate(file.fileno(), 0, num_bytes)
    except OSError as exc:
        memory.close()
        memory.unlink()
        raise PredictionError(
            f"there is no shared memory for a batch of {num_bytes} bytes: {exc.strerror}"
        ) from exc
    return memory


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let a process that is started in a block never see a Ctrl-C, not even before it can ignore it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    connection: Connection,
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
        for number in (signal.SIGTERM, signal.SIGINT):  # sent to the server, which ends us when it is done
            signal.signal(number, signal.SIG_IGN)
        engine = engine_class(files, settings)
    except StartupError as exc:
        connection.send(exc)
        return
    except Exception as exc:
        _LOGGER.critical("the model can't be loaded", exc_info=True)
        connection.send(
            ModelLoadError(f"{files.program.parent} can't be loaded: {type(exc).__name__}: {exc}")
        )
        return
    connection.send(engine.info)
    memory: SharedMemory | None = None
    with contextlib.suppress(EOFError, OSError):  # the server is gone
        while (request := connection.recv()) is not None:
            name, shape = request
            if memory is None or memory.name != name:
                memory = SharedMemory(name)
            connection.send(_run(engine, memory, shape))
    os._exit(0)  # Paddle is slow to free a predictor, and never finishes with one of the json format


def _run(engine: Engine, memory: SharedMemory, shape: tuple[int, ...]) -> ClasError | None:
    """Put the scores in place of the batch: shared memory is faster than the pipe."""
    try:
        scores = engine.run(np.ndarray(shape, np.float32, memory.buf))
    except ClasError as exc:
        _LOGGER.exception("the model failed")
        return PredictionError(str(exc))  # without its cause, which may not be picklable
    np.ndarray(scores.shape, np.float32, memory.buf)[...] = scores
    return None


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, even if this one hangs then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
