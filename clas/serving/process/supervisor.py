"""Several workers under gunicorn, which replaces those that die, hang or reach max_requests."""

import logging
import math
import os
import signal
import socket
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import gunicorn.glogging
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from ..metrics import forget_worker, share_metrics
from .server import StopSignals, uvicorn_options
from .worker import Deployment, Worker

_LOGGER: Final = logging.getLogger("clas_system")
_SLACK_S: Final = 5.0  # for the pool to end a process that hangs
_JITTER: Final = 10  # a tenth of max_requests, so that the workers aren't replaced all at once


def supervise(deployment: Deployment, listeners: Sequence[socket.socket]) -> int:
    """Run the workers until SIGTERM or SIGINT.

    Args:
        deployment: What the workers are.
        listeners: The bound sockets.

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
        "bind": [f"fd://{listener.fileno()}" for listener in listeners],
        "workers": deployment.num_workers,
        "worker_class": worker_class,
        "timeout": math.ceil(options.timeout_s + _SLACK_S),
        "graceful_timeout": math.ceil(options.graceful_timeout_s),
        "logger_class": _logger_class(deployment.log_handlers),
        "pre_fork": _assign_slot,
        "post_fork": _set_up_worker,
        "child_exit": _on_worker_exit,
    }
    try:
        _Application(settings, deployment).run()
    except SystemExit as exc:
        return 1 if exc.code or deployment.state.has_failed else 0
    return 0


class _Application(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured without its command line."""

    def __init__(self, settings: dict[str, Any], deployment: Deployment) -> None:
        self._settings = settings
        self._deployment = deployment
        super().__init__()

    def load_config(self) -> None:
        """Called by gunicorn."""
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        """Run the supervisor."""
        _Supervisor(self, self._deployment).run()


class _Supervisor(Arbiter):  # type: ignore[misc]
    """gunicorn's, below our parent: whose is SIGHUP, and who is told that all is well."""

    SIGNALS: ClassVar = [one for one in Arbiter.SIGNALS if one not in (signal.SIGHUP, signal.SIGUSR2)]

    def __init__(self, application: _Application, deployment: Deployment) -> None:
        self._deployment = deployment
        self._control = deployment.control
        self._was_complete = False
        super().__init__(application)

    def init_signals(self) -> None:
        """Ignore what isn't handled; gunicorn's own ways with both would end the present workers too soon."""
        super().init_signals()
        for number in (signal.SIGHUP, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        if StopSignals.received:
            self.signal(signal.SIGTERM, None)

    def maybe_promote_master(self) -> None:
        """Called in each round of the main loop, at least once a second."""
        if self._control.is_orphaned:
            raise StopIteration  # as gunicorn's SIGTERM does
        self._control.beat()
        if not self._was_complete and self._deployment.is_complete:
            self._was_complete = True
            self._deployment.on_ready()

    def spawn_worker(self) -> Any:  # noqa: ANN401
        """Start a worker; with many of them, a round takes long."""
        self._control.beat()
        return super().spawn_worker()

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers."""
        self._control.stopping()
        super().stop(graceful)


def _logger_class(handlers: Sequence[Any]) -> type:
    level = logging.getLogger("gunicorn.error").level  # set by set_up_log; gunicorn resets it

    class Logger(gunicorn.glogging.Logger):  # type: ignore[misc]
        def setup(self, cfg: Any) -> None:  # noqa: ANN401
            super().setup(cfg)
            self.error_log.handlers = list(handlers)
            self.error_log.setLevel(level)
            self.access_log.handlers = []

    return Logger


def _assign_slot(arbiter: Arbiter, worker: Worker) -> None:
    """Assign the lowest free number, which selects the GPU and the file of metrics."""
    taken = {other.slot for other in arbiter.WORKERS.values()}
    worker.slot = next(number for number in range(len(taken) + 1) if number not in taken)


def _set_up_worker(_: Arbiter, worker: Worker) -> None:
    """Called in the new process, before it loads anything."""
    deployment = worker.deployment
    deployment.metrics_dir.mkdir(parents=True, exist_ok=True)  # /tmp may have been cleaned up
    share_metrics(deployment.metrics_dir, worker.slot)
    if deployment.devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = deployment.devices[worker.slot % len(deployment.devices)]


def _on_worker_exit(arbiter: Arbiter, worker: Worker) -> None:
    """Called in the supervisor."""
    if worker.deployment.state.has_failed:
        arbiter.num_workers = 0  # start no more of them
        os.kill(os.getpid(), signal.SIGTERM)
    _LOGGER.info("worker %s has ended", worker.pid)
    forget_worker(worker.deployment.metrics_dir, worker.slot)
