"""A predictor in a process of its own.

Paddle holds Python's global lock while a model runs: in this process, nothing else would happen meanwhile.
And a model that crashes or hangs takes only that process with it.
"""

import contextlib
import ctypes
import logging
import math
import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Final, NamedTuple

import numpy as np

from ...engine.paddle import Batch, Predictor, Scores
from ...engine.paddle_config import import_paddle
from ...errors import ClasError, ModelLoadError, PredictionError, StartupError, UnavailableError
from ...model.files import ModelFiles
from ...settings import Settings
from ..log import set_up_log
from ..options import ServerOptions

_LOGGER: Final = logging.getLogger("clas_system")
_LOAD_TIMEOUT_S: Final = 600.0
_END_TIMEOUT_S: Final = 5.0
_ITEM_BYTES: Final = 4  # of float32, which batches and scores are
_PR_SET_PDEATHSIG: Final = 1
# How long OpenMP's threads spin when there is nothing to do. Its own 200 ms would burn the cores that the
# HTTP process needs between two batches. 0 makes them sleep within a batch, too: 12.0 ms for one image in
# place of 8.3 (2 threads, EfficientNet-Lite0, medians).
_SPIN_MS: Final = "1"


class _Facts(NamedTuple):
    """What the process tells of its model when it is loaded."""

    input_shape: tuple[int | None, ...]
    batch_size: int | None
    num_classes: int
    mkldnn: bool
    num_threads: int


class PredictorProcess:
    """Like `Predictor`, elsewhere; for one thread.

    Args:
        files: The model.
        settings: Device and options.
        options: Read for the log and for timeout_s, how long one batch may take.

    Attributes:
        input_shape, batch_size, num_classes, mkldnn, num_threads: As `Predictor` has them.

    Raises:
        DeviceError: The GPU that the settings ask for can't be used.
        ModelLoadError: The model is damaged, isn't an image classifier, or its process has crashed.
    """

    def __init__(self, files: ModelFiles, settings: Settings, options: ServerOptions) -> None:
        spawn = multiprocessing.get_context("spawn")  # nothing of this process is to be in that one
        self._connection, theirs = spawn.Pipe()
        self._timeout_s = options.timeout_s
        self._memory: SharedMemory | None = None
        self._process = spawn.Process(
            target=_serve, args=(theirs, os.getpid(), files, settings, options), name="model", daemon=True
        )
        self._process.start()
        theirs.close()
        self._is_closed = False
        try:
            facts = self._receive(_LOAD_TIMEOUT_S)
        except UnavailableError as exc:
            raise ModelLoadError(f"{files.program.parent} can't be loaded: {exc}") from exc
        except ClasError:
            self.close()
            raise
        self.input_shape, self.batch_size, self.num_classes, self.mkldnn, self.num_threads = facts

    @property
    def is_alive(self) -> bool:
        """Whether the process can still be asked."""
        return not self._is_closed and self._process.is_alive()

    def ensure_open(self) -> None:
        """Nothing to do: this object isn't carried over forks."""

    def run(self, *parts: Batch) -> Scores:
        """Compute the scores of a batch; see `Predictor.run`.

        Raises:
            PredictionError: The model failed.
            UnavailableError: The process has died or hung, and has been ended; `is_alive` is False then.
        """
        if self._is_closed:
            raise UnavailableError("the model's process is being replaced")
        shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
        scores_shape = (shape[0], self.num_classes)
        memory = self._room_for(_ITEM_BYTES * max(math.prod(shape), math.prod(scores_shape)))
        np.concatenate(parts, out=np.ndarray(shape, np.float32, memory.buf))
        with contextlib.suppress(OSError):  # a broken pipe is met again by the receiver
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

    def _receive(self, timeout_s: float) -> Any:  # noqa: ANN401  # what was asked for
        """Wait for the answer, or end a process that gives none."""
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
    """Make shared memory that is there: else, the first write beyond what the system has ends the process."""
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


def _serve(
    connection: Connection, parent: int, files: ModelFiles, settings: Settings, options: ServerOptions
) -> None:
    """What the process does: load the model, then answer orders until there are no more."""
    _live_no_longer_than(parent)
    set_up_log(options)
    os.environ.setdefault("KMP_BLOCKTIME", _SPIN_MS)
    try:
        import_paddle()
        for number in (signal.SIGTERM, signal.SIGINT):  # meant for the server, which ends us when it is done
            signal.signal(number, signal.SIG_IGN)
        predictor = Predictor(files, settings)
    except StartupError as exc:
        connection.send(exc)
        return
    except Exception as exc:
        _LOGGER.critical("the model can't be loaded", exc_info=True)
        connection.send(
            ModelLoadError(f"{files.program.parent} can't be loaded: {type(exc).__name__}: {exc}")
        )
        return
    connection.send(
        _Facts(
            *(predictor.input_shape, predictor.batch_size, predictor.num_classes),
            *(predictor.mkldnn, predictor.num_threads),
        )
    )
    memory: SharedMemory | None = None
    with contextlib.suppress(EOFError, OSError):  # the server is gone
        while (order := connection.recv()) is not None:
            name, shape = order
            if memory is None or memory.name != name:
                memory = SharedMemory(name)
            connection.send(_answer(predictor, memory, shape))
    os._exit(0)  # Paddle takes its time to tear a predictor down, and with one of the json format never ends


def _answer(predictor: Predictor, memory: SharedMemory, shape: tuple[int, ...]) -> ClasError | None:
    """Put the scores where the batch was: neither it nor they go through the pipe, which takes longer."""
    try:
        scores = predictor.run(np.ndarray(shape, np.float32, memory.buf))
    except ClasError as exc:
        _LOGGER.exception("the model failed")
        return PredictionError(str(exc))  # without its cause, which may not be of a kind that can be sent
    np.ndarray(scores.shape, np.float32, memory.buf)[...] = scores
    return None


def _live_no_longer_than(parent: int) -> None:
    """Have the kernel end this process with its parent, even if it is stuck then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
