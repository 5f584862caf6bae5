"""Builds the application and the predictors of one server process."""

from collections.abc import Callable, Collection, Coroutine
from functools import partial
from pathlib import Path
from typing import NamedTuple

from starlette.applications import Starlette

from ..engine.devices import available_cores
from ..errors import ModelNotFoundError
from ..model.files import find_model
from ..settings import Settings
from .batching import runner
from .batching.admission import Admission, Room
from .batching.pool import OpenRunner, Pool
from .http.app import create_app
from .http.auth import load_guard
from .http.decoders import Decoders
from .http.inference import Inference
from .launch import Launch
from .metrics import Metrics
from .models.changes import Changes, OwnChanges
from .models.loader import Loader
from .models.plan import ModelPlan
from .models.registry import Models
from .models.served_model import ServedModel
from .models.watch import Watch, watch
from .options import ServerOptions

OpenChanges = Callable[[Models], Changes | None]
"""Makes what loads and unloads models on request."""


class Service(NamedTuple):
    """One process of the server.

    Attributes:
        app: The ASGI application; its lifespan starts to load the models.
        models: The models.
        options: The server options.
        decoders: The threads that decode requests.
        changes: Loads and unloads models; None where something else does.
        watch: Watches the models' folders until it is cancelled; None if nobody wants that.
    """

    app: Starlette
    models: Models
    options: ServerOptions
    decoders: Decoders
    changes: Changes | None
    watch: Callable[[], Coroutine[None, None, None]] | None

    def check_health(self) -> None:
        """Check that neither a predictor nor a decoder hangs.

        Raises:
            UnavailableError: One does.
        """
        self.models.check_health(self.options.timeout_s)
        self.decoders.check_health(self.options.timeout_s)


def build_service(
    launch: Launch,
    metrics: Metrics | None = None,
    open_runner: OpenRunner | None = None,
    open_changes: OpenChanges = OwnChanges,
    required: Collection[str] = (),
) -> Service:
    """Build the application and its predictors; nothing is loaded yet.

    Args:
        launch: What to load and serve.
        metrics: Where requests are counted; None for new ones.
        open_runner: Loads a model; None for `runner.open_runner`.
        open_changes: Makes what loads and unloads models on request.
        required: See `Models`.

    Raises:
        SettingsError: A token file is invalid.
    """
    options = launch.options
    metrics = metrics or Metrics()
    room = Room(options.max_queue_bytes)
    open_runner = open_runner or partial(runner.open_runner, options=options)
    models = Models(
        {name: launch.plan(settings) for name, settings in launch.models.items()},
        lambda name, plan: _open_model(name, plan, launch, metrics, room),
        launch.plan_of,
        Loader(lambda model, plan: _open_pool(model, plan, options, open_runner), options.max_loaded_models),
        required,
    )
    decoders = Decoders(available_cores())
    inference = Inference(models, options, decoders)
    workers = max(1, launch.num_workers)
    changes = open_changes(models)
    guard = load_guard(options, has_control=changes is not None)
    app = create_app(inference, room, metrics, guard, changes, workers)
    watching = None
    if options.watch and changes:
        folders = {name: _folder_of(settings) for name, settings in launch.models.items()}
        watching = partial(watch, Watch(folders, launch.repository), models, changes, options.watch)
    return Service(app, models, options, decoders, changes, watching)


def _folder_of(settings: Settings) -> Path:
    """Return the folder of a model; the one that is named if there is no model yet."""
    try:
        return find_model(settings)[0].program.parent
    except ModelNotFoundError:
        return Path(settings.inference_model_dir).absolute()


def _open_model(name: str, plan: ModelPlan, launch: Launch, metrics: Metrics, room: Room) -> ServedModel:
    options = launch.options
    is_only = len(launch.models) == 1 and not options.model_repository
    share = options.max_queue_bytes if is_only else options.max_queue_bytes // 2
    of_model = metrics.of_model(name)
    admission = Admission(
        options.max_queue_images, room, max(share, options.max_request_bytes), of_model.queue_images.set
    )
    return ServedModel(name, plan, of_model, admission)


def _open_pool(model: ServedModel, plan: ModelPlan, options: ServerOptions, open_runner: OpenRunner) -> Pool:
    return Pool(
        plan.settings,
        options.batch_wait_ms / 1000,
        model.metrics.batch_size.observe,
        open_runner,
        plan.predictor_threads,
    )
