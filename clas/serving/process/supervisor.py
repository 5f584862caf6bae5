"""Several workers, under gunicorn: it replaces those that die, hang or are used up."""

import asyncio
import logging
import math
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import gunicorn.glogging
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from starlette.applications import Starlette
from uvicorn_worker import UvicornWorker

from ..batching.pool import Engine
from ..metrics import forget_worker, share_metrics
from ..options import ServerOptions
from .server import Server, StopSignals, leave_unless_ended, uvicorn_options

_LOGGER: Final = logging.getLogger("clas_system")
_LOAD_POLL_S: Final = 0.05
_BACK_OFF_S: Final = 5.0
_SLACK_S: Final = 5.0  # for the predictor's owner to end a process that hangs
_WAS_READY: Final = 0
_HAS_FAILED: Final = 1
_JITTER: Final = 10  # one tenth of max_requests, so that the workers aren't replaced all at once

BuildApp = Callable[[], tuple[Starlette, Engine]]


class Deployment(NamedTuple):
    """What the workers are to be.

    Attributes:
        options: Those of the server.
        num_workers: How many.
        devices: Numbers of the GPUs, one for each worker; empty for the CPU.
        build: Makes the application; called in each worker.
        log_handlers: Where gunicorn's own log goes.
        scratch: Directory that the processes share.
        flags: Memory that they share, made before the first fork.
    """

    options: ServerOptions
    num_workers: int
    devices: Sequence[str]
    build: BuildApp
    log_handlers: Sequence[Any]
    scratch: Path
    flags: mmap.mmap

    @property
    def was_ready(self) -> bool:
        """Whether a worker has been ready."""
        return bool(self.flags[_WAS_READY])

    @property
    def has_failed(self) -> bool:
        """Whether the first workers can't start."""
        return bool(self.flags[_HAS_FAILED])

    @property
    def metrics_dir(self) -> Path:
        """Where the workers' metrics are."""
        return self.scratch / "metrics"


class Worker(UvicornWorker):  # type: ignore[misc]  # gunicorn has no types
    """One process with a model of its own.

    Its heartbeat goes from the event loop to the supervisor, but only when the predictor's owner has beaten,
    too. So a worker whose event loop stands still is replaced, and so is one whose model does.
    """

    deployment: Deployment
    slot = 0

    def init_process(self) -> None:
        """Live, and end here: what the supervisor would do at its own end isn't for this process to do."""
        status = 1
        try:
            super().init_process()
            status = 0
        except SystemExit:
            pass  # said already
        except Exception:
            _LOGGER.critical("this worker has failed", exc_info=True)
            self._give_up_or_wait()
        finally:
            logging.shutdown()
            os._exit(status)

    def init_signals(self) -> None:
        """SIGTERM and SIGINT are for us; SIGABRT, the supervisor's last word, ends the process."""
        super().init_signals()
        StopSignals.heed()

    async def _serve(self) -> None:
        app, engine = self.wsgi
        self.config.app = app
        await self._load(engine)
        if StopSignals.came:
            return
        self.deployment.flags[_WAS_READY] = 1
        _LOGGER.info("worker %d is ready", self.pid)
        beats = engine.batcher.beats

        def on_tick() -> bool:
            nonlocal beats
            if engine.batcher.beats != beats or engine.is_loading:
                beats = engine.batcher.beats
                self.notify()
            return bool(os.getppid() != self.ppid)  # the supervisor was killed

        await Server(self.config, engine, on_tick).serve(sockets=self.sockets)

    def run(self) -> None:
        """Serve, then wait for the predictor's owner."""
        super().run()
        _, engine = self.wsgi
        leave_unless_ended(engine, 0)

    async def _load(self, engine: Engine) -> None:
        """Load the model before any connection is taken: meanwhile the other workers get them all."""
        engine.start()
        while engine.is_loading and not StopSignals.came:
            self.notify()
            await asyncio.sleep(_LOAD_POLL_S)
        if engine.has_failed:
            self._give_up_or_wait()
            sys.exit(1)

    def _give_up_or_wait(self) -> None:
        """End the start; or, if the server has been ready before, let the next worker not come at once."""
        if not self.deployment.was_ready:
            self.deployment.flags[_HAS_FAILED] = 1
            return
        until = time.monotonic() + _BACK_OFF_S
        while time.monotonic() < until and not StopSignals.came:
            self.notify()
            time.sleep(_LOAD_POLL_S)

    async def callback_notify(self) -> None:
        """Send nothing: this heartbeat of uvicorn's tells of the event loop only."""


def supervise(deployment: Deployment, fd: int) -> int:
    """Run the workers until SIGTERM or SIGINT.

    Args:
        deployment: What they are to be.
        fd: The bound socket's.

    Returns:
        The exit status.
    """
    options = deployment.options
    worker_class = type(
        "Worker",
        (Worker,),
        {
            "deployment": deployment,
            "CONFIG_KWARGS": {
                **uvicorn_options(options),
                "limit_max_requests": options.max_requests or None,
                "limit_max_requests_jitter": options.max_requests // _JITTER,
            },
        },
    )
    settings = {
        "bind": f"fd://{fd}",
        "workers": deployment.num_workers,
        "worker_class": worker_class,
        "timeout": math.ceil(options.timeout_s + _SLACK_S),
        "graceful_timeout": math.ceil(options.graceful_timeout_s),
        "logger_class": _logger_class(deployment.log_handlers),
        "pre_fork": _give_slot,
        "post_fork": _settle,
        "child_exit": _forget,
    }
    try:
        _Application(settings, deployment.build).run()
    except SystemExit as exc:
        return 1 if exc.code or deployment.has_failed else 0
    return 0


class _Application(BaseApplication):  # type: ignore[misc]
    """gunicorn, set up by us rather than by its command line."""

    def __init__(self, settings: dict[str, Any], build: BuildApp) -> None:
        self._settings = settings
        self._build = build
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> tuple[Starlette, Engine]:
        """Called in each worker, after the fork."""
        return self._build()


def _logger_class(handlers: Sequence[Any]) -> type:
    level = logging.getLogger("gunicorn.error").level  # as set_up_log has it; gunicorn sets its own

    class Logger(gunicorn.glogging.Logger):  # type: ignore[misc]
        def setup(self, cfg: Any) -> None:  # noqa: ANN401
            super().setup(cfg)
            self.error_log.handlers = list(handlers)
            self.error_log.setLevel(level)
            self.access_log.handlers = []

    return Logger


def _give_slot(arbiter: Arbiter, worker: Worker) -> None:
    """The lowest number that no living worker has; it says which GPU, and which file of metrics."""
    taken = {other.slot for other in arbiter.WORKERS.values()}
    worker.slot = next(number for number in range(len(taken) + 1) if number not in taken)


def _settle(_: Arbiter, worker: Worker) -> None:
    """In the new process, before it loads anything."""
    deployment = worker.deployment
    deployment.metrics_dir.mkdir(parents=True, exist_ok=True)  # something may have cleaned up /tmp
    share_metrics(deployment.metrics_dir, worker.slot)
    if deployment.devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = deployment.devices[worker.slot % len(deployment.devices)]


def _forget(arbiter: Arbiter, worker: Worker) -> None:
    """In the supervisor, when a worker has ended."""
    if worker.deployment.has_failed:
        arbiter.num_workers = 0  # no more of them
        os.kill(os.getpid(), signal.SIGTERM)
    _LOGGER.info("worker %s has ended", worker.pid)
    forget_worker(worker.deployment.metrics_dir, worker.slot)
