"""One worker process under the supervisor."""

import asyncio
import contextlib
import ctypes
import dataclasses
import logging
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from uvicorn_worker import UvicornWorker

from ..models.pulse import Pulse
from ..models.registry import Models
from ..options import ServerOptions
from ..service import OpenChanges, Service
from .control import Control
from .server import Server, StopSignals, exit_unless_idle
from .shared_changes import SharedChanges

_LOGGER: Final = logging.getLogger("clas_system")
_LOAD_POLL_S: Final = 0.05
_BACK_OFF_S: Final = 5.0

BuildService = Callable[[OpenChanges], Service]


class _State(ctypes.Structure):
    """What the supervisor and its workers tell each other; without a lock, which a killed worker could hold.

    Attributes:
        has_failed: The first workers can't start.
        serving: For each slot, whether its worker has been ready.
    """

    _fields_ = (
        ("has_failed", ctypes.c_bool),
        ("serving", ctypes.c_bool * (mmap.PAGESIZE - 1)),
    )
    has_failed: bool
    serving: "ctypes.Array[ctypes.c_bool]"

    @property
    def was_ready(self) -> bool:
        """Whether a worker has been ready."""
        return any(self.serving)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployment:
    """What the workers are; made before the first fork.

    Attributes:
        options: The server's.
        num_workers: The number of workers.
        devices: GPU numbers, one per worker; empty for the CPU.
        build: Builds the service, given what changes its models; called in each worker.
        log_handlers: The handlers of gunicorn's own log.
        scratch: A directory that the processes share.
        control: To the parent.
        on_ready: Called in the supervisor, when all of the first workers are ready.
        state: Shared by all processes.
    """

    options: ServerOptions
    num_workers: int
    devices: Sequence[str]
    build: BuildService
    log_handlers: Sequence[Any]
    scratch: Path
    control: Control
    on_ready: Callable[[], None]
    state: _State = dataclasses.field(
        default_factory=lambda: _State.from_buffer(mmap.mmap(-1, mmap.PAGESIZE))
    )

    @property
    def is_complete(self) -> bool:
        """Whether each worker has been ready."""
        return all(self.state.serving[slot] for slot in range(self.num_workers))

    @property
    def metrics_dir(self) -> Path:
        """Where the workers' metrics meet."""
        return self.scratch / "metrics"


class Worker(UvicornWorker):  # type: ignore[misc]  # gunicorn has no types
    """A process with models of its own.

    The event loop sends a heartbeat to the supervisor only if all pools have sent one, too, and no decoder
    has outlived the deadline of its request. So a worker is replaced when its event loop hangs, and also when
    a model or a decoder does.
    """

    deployment: Deployment
    slot = 0
    _pulse = Pulse()

    def init_process(self) -> None:
        """Run to the end of the process; what follows in the supervisor's code isn't for a worker."""
        status = 1
        try:
            super().init_process()
            status = 0
        except SystemExit:
            pass  # its reason is in the log
        except Exception:
            _LOGGER.critical("this worker has failed", exc_info=True)
            self._fail_start_or_back_off()
        finally:
            logging.shutdown()
            os._exit(status)

    def load_wsgi(self) -> None:
        """Called by gunicorn."""

        def open_changes(models: Models) -> SharedChanges:
            self._changes = SharedChanges(models, self.deployment.scratch / "changes")
            return self._changes

        self.wsgi = self.deployment.build(open_changes)

    def init_signals(self) -> None:
        """Handle SIGTERM, SIGINT, and SIGQUIT, which gunicorn sends to its workers after a SIGINT.

        SIGABRT, the supervisor's last resort, ends the process. SIGHUP is the parent's.
        """
        super().init_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        StopSignals.install(signal.SIGQUIT)

    async def _serve(self) -> None:
        service = self._service
        self.config.app = service.app
        opening = asyncio.create_task(self._changes.open())
        while not opening.done():  # others may be changing models
            self.notify()
            await asyncio.sleep(_LOAD_POLL_S)
        opening.result()
        is_first_start = not self.deployment.state.serving[self.slot]
        with _quieter(is_quiet=is_first_start and self.slot > 0 and not self.deployment.devices):
            await self._load(service.models)
        if StopSignals.received:
            return
        self.deployment.state.serving[self.slot] = True
        self.deployment.control.ready()
        _LOGGER.info("worker %d is ready", self.pid)
        watch = None if self.slot else service.watch  # one of them is enough
        await Server(self.config, service.models, self._beat, watch=watch).serve(sockets=self.sockets)

    def run(self) -> None:
        """Serve, then wait for the pool."""
        super().run()
        exit_unless_idle(self._service, 0)

    @property
    def _service(self) -> Service:
        """The service, which gunicorn takes for a WSGI application."""
        service: Service = self.wsgi
        return service

    def _beat(self) -> bool:
        """Send a heartbeat if pools and decoders are well; tells whether the supervisor was killed."""
        is_stuck = self._service.decoders.busy_s > self.deployment.options.timeout_s
        if self._pulse.is_felt(self._service.models) and not is_stuck:
            self.notify()
        return bool(os.getppid() != self.ppid)

    async def _load(self, models: Models) -> None:
        """Load the models before accepting connections: meanwhile the other workers accept them."""
        models.start()
        while models.is_loading and not StopSignals.received:
            self.notify()
            await asyncio.sleep(_LOAD_POLL_S)
        if models.has_failed:
            self._fail_start_or_back_off()
            sys.exit(1)

    def _fail_start_or_back_off(self) -> None:
        """Fail the start of the server; if it has been ready before, delay the next worker instead."""
        state = self.deployment.state
        if not state.was_ready:
            state.has_failed = True
            return
        until = time.monotonic() + _BACK_OFF_S
        while time.monotonic() < until and not StopSignals.received:
            self.notify()
            time.sleep(_LOAD_POLL_S)

    async def callback_notify(self) -> None:
        """Send no heartbeat: this one of uvicorn's knows nothing of the pool."""


@contextlib.contextmanager
def _quieter(*, is_quiet: bool) -> Iterator[None]:
    """Leave out what the first worker says of the model, which all of them load alike, but for failures."""
    before = _LOGGER.level
    if is_quiet and logging.DEBUG < before < logging.ERROR:
        _LOGGER.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _LOGGER.setLevel(before)
