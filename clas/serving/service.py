"""Builds the application and the predictors of one server process."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from starlette.applications import Starlette

from ..engine.devices import available_cores
from .batching import runner
from .batching.pool import OpenRunner, Pool
from .http.app import create_app
from .http.auth import load_tokens
from .http.decoders import Decoders
from .launch import Launch
from .metrics import Metrics
from .options import ServerOptions


class Service(NamedTuple):
    """One process of the server.

    Attributes:
        app: The ASGI application; its lifespan starts the pool.
        pool: The predictors.
        options: The server options.
        decoders: The threads that decode requests.
    """

    app: Starlette
    pool: Pool
    options: ServerOptions
    decoders: Decoders

    def check_health(self) -> None:
        """Check that neither a predictor nor a decoder hangs.

        Raises:
            UnavailableError: One does.
        """
        self.pool.check_health(self.options.timeout_s)
        self.decoders.check_health(self.options.timeout_s)


def build_service(
    launch: Launch, metrics: Metrics | None = None, open_runner: OpenRunner | None = None
) -> Service:
    """Build the application and its predictors; nothing is loaded yet.

    Args:
        launch: What to load and serve.
        metrics: Where requests are counted; None for new ones.
        open_runner: Loads the model; None for `runner.open_runner`.

    Raises:
        SettingsError: The token file is invalid.
    """
    options = launch.options
    metrics = metrics or Metrics()
    tokens = load_tokens(Path(options.token_file)) if options.token_file else None
    pool = Pool(
        launch.settings,
        options.batch_wait_ms / 1000,
        metrics.batch_size.observe,
        open_runner or partial(runner.open_runner, options=options),
        launch.predictor_threads,
    )
    decoders = Decoders(available_cores())
    app = create_app(options, pool, decoders, metrics, tokens, max(1, launch.num_workers))
    return Service(app, pool, options, decoders)
